/**
 * The server's indicators in a page or in Node: the same program, the same bits. No dependencies.
 *
 *     import { load } from "./features.js";
 *     const engine = await load("/features.wasm");          // or the bytes, or a Response
 *     const features = await engine.program(description);   // Program.description() of the server, as JSON
 *     features.push([open, high, low, close, volume, ticks, bid, ask]);   // one row in, one value per feature out
 *     features.batch(columns);                              // columns in, columns out; goes on where push ended
 *
 * A value that is not known is NaN, in and out. A program keeps its state in a memory of its own; drop it and it is gone.
 */

const BLOCK_ROWS = 1024; // rows per call, so that the columns stay in the cache
const PAGE_BYTES = 65536;
const WORD_BYTES = 8;
const HALF = 2 ** 32;

/** The engine from the address of features.wasm, from a Response or from its bytes. Rejects when it cannot be had or read. */
export async function load(source) {
  const found = typeof source === "string" || source instanceof URL ? await fetch(source) : source;
  if (typeof Response === "undefined" || !(found instanceof Response)) return new Engine(await WebAssembly.compile(found));
  if (!found.ok) throw new Error(`features.wasm: expected the module at ${found.url}, found status ${found.status}`);
  return new Engine(await WebAssembly.compile(await found.arrayBuffer()));
}

class Engine {
  constructor(module) {
    this.module = module;
  }

  /** A program at its start. Rejects when the module does not have one of its opcodes in the version that the server has. */
  async program(description) {
    const { exports } = await WebAssembly.instantiate(this.module, {});
    for (const [name, number, version] of description.opcodes) {
      const found = exports.opcode_version(number);
      if (found !== version) {
        const has = found ? `version ${found}` : "none";
        throw new Error(`features.wasm: expected version ${version} of opcode ${name}, found ${has}; load the module of the server's release`);
      }
    }
    return new Program(exports, description);
  }
}

class Program {
  constructor(exports, { columns, names, outputs, registers, state_words: stateWords, program, parameters, sources }) {
    this.columns = columns;
    this.names = names;
    this.outputs = outputs;
    this.read = [...new Set([...sources, ...outputs])].filter((register) => register < columns.length); // base columns that matter
    this.run = exports.run_block;
    const words = [program.length, parameters.length, sources.length, stateWords, registers * BLOCK_ROWS];
    const places = [];
    let end = Math.ceil(exports.__heap_base.value / WORD_BYTES) * WORD_BYTES;
    for (const count of words) {
      places.push(end);
      end += count * WORD_BYTES;
    }
    const memory = exports.memory;
    const missing = end - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE_BYTES));
    this.places = places;
    integers(memory.buffer, places[0], program);
    new Float64Array(memory.buffer, places[1], parameters.length).set(parameters);
    integers(memory.buffer, places[2], sources.map((register) => register * BLOCK_ROWS));
    this.state = new Float64Array(memory.buffer, places[3], stateWords);
    this.block = new Float64Array(memory.buffer, places[4], registers * BLOCK_ROWS);
  }

  /** Back to the start. */
  reset() {
    this.state.fill(0);
  }

  /** One row, a value for each of `columns`: a new Float64Array with a value for each of `names`. */
  push(row) {
    this.expect("values", row.length);
    for (const column of this.read) this.block[column * BLOCK_ROWS] = row[column];
    this.call(1);
    return Float64Array.from(this.outputs, (register) => this.block[register * BLOCK_ROWS]);
  }

  /** Many rows, an array for each of `columns`, all of one length: a new Float64Array for each of `names`. */
  batch(columns) {
    this.expect("columns", columns.length);
    const rows = columns[0].length;
    const typed = columns.map((column) => (column instanceof Float64Array ? column : Float64Array.from(column)));
    if (typed.some((column) => column.length !== rows)) throw new RangeError("features: expected columns of one length");
    const made = this.outputs.map(() => new Float64Array(rows));
    for (let first = 0; first < rows; first += BLOCK_ROWS) {
      const count = Math.min(BLOCK_ROWS, rows - first);
      for (const place of this.read) this.block.set(typed[place].subarray(first, first + count), place * BLOCK_ROWS);
      this.call(count);
      this.outputs.forEach((register, place) => {
        made[place].set(this.block.subarray(register * BLOCK_ROWS, register * BLOCK_ROWS + count), first);
      });
    }
    return made;
  }

  call(rows) {
    this.run(...this.places, 0, rows);
  }

  expect(what, found) {
    if (found !== this.columns.length) {
      throw new RangeError(`features: expected ${this.columns.length} ${what} (${this.columns.join(", ")}), found ${found}`);
    }
  }
}

/** Whole numbers as 64-bit words, low half first, without BigInt. */
function integers(buffer, place, values) {
  const halves = new Uint32Array(buffer, place, values.length * 2);
  values.forEach((value, at) => {
    halves[2 * at] = value % HALF;
    halves[2 * at + 1] = Math.floor(value / HALF);
  });
}
