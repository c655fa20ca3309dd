// The page's side of benchmarks/browser.py: every program over the columns, after a short run that lets the engine optimise.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const { loader, module, columns: path, programs, warm } = JSON.parse(await readFile(process.argv[2], "utf8"));
const { load } = await import(pathToFileURL(loader).href);
const bytes = await readFile(path);
const all = new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
const engine = await load(await readFile(module));
const answer = {};
for (const [label, description] of Object.entries(programs)) {
  const rows = all.length / description.columns.length;
  const columns = description.columns.map((_, column) => all.subarray(column * rows, (column + 1) * rows));
  const features = await engine.program(description);
  features.batch(columns.map((column) => column.subarray(0, warm)));
  features.reset();
  const start = performance.now();
  const made = features.batch(columns);
  const ns = ((performance.now() - start) * 1e6) / rows;
  const hash = createHash("sha256");
  for (const column of made) hash.update(new Uint8Array(column.buffer));
  answer[label] = { ns, hash: hash.digest("hex").slice(0, 16) };
}
console.log(JSON.stringify(answer));
