// What tests/features/engines.py asks of Node: run programs through web/features.js and single kernels, files in, files out.
import { readFile, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const order = JSON.parse(await readFile(process.argv[2], "utf8"));
const { load } = await import(pathToFileURL(order.loader).href);
const engine = await load(await readFile(order.module));

async function floats(path) {
  const bytes = await readFile(path);
  return new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

async function columnsOf(path, count) {
  const all = await floats(path);
  const rows = all.length / count;
  return Array.from({ length: count }, (_, column) => all.subarray(column * rows, (column + 1) * rows));
}

const columns = order.columns ? await columnsOf(order.columns, order.column_count) : [];
const answers = [];
for (const job of order.jobs) {
  const answer = {};
  try {
    if (job.kernel) {
      // A kernel over a column: x, y and the number of rows, in a memory laid out here.
      const { instance } = await WebAssembly.instantiate(await readFile(job.module));
      const x = await floats(job.columns);
      const at = instance.exports.__heap_base.value;
      instance.exports.memory.grow(Math.ceil((16 * x.length) / 65536) + 1);
      new Float64Array(instance.exports.memory.buffer, at, x.length).set(x);
      const start = performance.now();
      instance.exports[job.kernel](at, at + 8 * x.length, x.length);
      answer.ms = performance.now() - start;
      await writeFile(job.out, new Float64Array(instance.exports.memory.buffer, at + 8 * x.length, x.length));
    } else {
      const features = await engine.program(job.description);
      const pushed = Math.min(job.pushed ?? 0, columns[0].length);
      const singles = [];
      for (let row = 0; row < pushed; row++) singles.push(features.push(columns.map((column) => column[row])));
      const rest = columns.map((column) => column.subarray(pushed));
      const start = performance.now();
      const made = features.batch(job.plain ? rest.map((column) => Array.from(column)) : rest);
      answer.ms = performance.now() - start;
      const whole = made.map((column, place) => [...singles.map((row) => row[place]), ...(pushed ? column : [])]);
      const parts = pushed ? whole.map((column) => Float64Array.from(column)) : made;
      await writeFile(job.out, Buffer.concat(parts.map((part) => Buffer.from(part.buffer, part.byteOffset, part.byteLength))));
    }
  } catch (error) {
    answer.error = error.message;
  }
  answers.push(answer);
}
await writeFile(order.answers, JSON.stringify(answers));
