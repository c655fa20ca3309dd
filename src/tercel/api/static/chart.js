// The candle chart: one canvas, crisp on any screen, drawn at most once per animation frame. Wheel or +/- zooms, drag or arrows pan, the
// crosshair follows the pointer. Fills are triangles (▲ bought, below; ▼ sold, above), working orders are dashed lines.

import { clock, date, price, size } from "./format.js";

const UP = "#46b8d0";
const DOWN = "#f0954f";
const AXIS = "#67768a";
const LINE = "#1b2430";
const TEXT = "#dbe3ec";
const GROUND = "#131922";
const RIGHT = 74; // px kept for prices
const BOTTOM = 24; // px kept for times
const LABEL = 18; // px, height of a price in a box
const CANDLES_SHOWN = 110;
const STEPS_MS = [60e3, 300e3, 900e3, 1800e3, 3600e3, 4 * 3600e3, 24 * 3600e3];

export class Chart {
  constructor(canvas, readout) {
    this.canvas = canvas;
    this.readout = readout;
    this.context = canvas.getContext("2d", { alpha: false });
    this.rows = [];
    this.marks = [];
    this.working = [];
    this.instrument = null;
    this.shown = CANDLES_SHOWN;
    this.behind = 0; // candles between the newest and the right edge
    this.at = null; // index under the crosshair
    this.pointer = null;
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
    this.listen();
  }

  /** Show `rows` ([ms, open, high, low, close, volume]) of an instrument, its fills and its working orders. */
  set(instrument, rows, intervalMs, marks, working, stale) {
    if (this.instrument?.name !== instrument?.name) {
      this.behind = 0;
      this.at = null;
    }
    Object.assign(this, { instrument, rows, intervalMs, marks, working, stale });
    this.draw();
  }

  listen() {
    const canvas = this.canvas;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.15 : 1 / 1.15);
    }, { passive: false });
    canvas.addEventListener("pointermove", (event) => {
      if (this.drag !== undefined) this.pan(Math.round((event.offsetX - this.drag.x) / this.step) + this.drag.behind);
      this.pointer = { x: event.offsetX, y: event.offsetY };
      this.at = null;
      this.draw();
    });
    canvas.addEventListener("pointerdown", (event) => {
      this.drag = { x: event.offsetX, behind: this.behind };
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointerup", () => { this.drag = undefined; });
    canvas.addEventListener("pointerleave", () => { this.pointer = null; this.draw(); });
    canvas.addEventListener("keydown", (event) => {
      const last = this.rows.length - 1;
      const keys = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20, Home: -Infinity, End: Infinity };
      if (event.key in keys) this.look(Math.min(Math.max((this.at ?? last) + keys[event.key], 0), last));
      else if (event.key === "+" || event.key === "=") this.zoom(1 / 1.15);
      else if (event.key === "-") this.zoom(1.15);
      else if (event.key === "Escape") this.look(null);
      else return;
      event.preventDefault();
    });
  }

  zoom(factor) {
    this.shown = Math.min(Math.max(Math.round(this.shown * factor), 20), 256);
    this.pan(this.behind);
  }

  pan(behind) {
    this.behind = Math.min(Math.max(behind, 0), Math.max(this.rows.length - 20, 0));
    this.draw();
  }

  look(index) {
    this.at = index;
    this.pointer = null;
    if (index !== null) {
      const last = this.rows.length - 1;
      if (index > last - this.behind) this.behind = last - index;
      if (index <= last - this.behind - this.shown) this.behind = last - index - this.shown + 1;
    }
    this.draw();
    if (index !== null) this.canvas.setAttribute("aria-label", this.words(this.rows[index]));
  }

  draw() {
    this.asked ??= requestAnimationFrame(() => {
      this.asked = undefined;
      this.paint();
    });
  }

  words(row) {
    const d = this.instrument.price_decimals;
    return `${this.instrument.name} ${date(row[0])} ${clock(row[0])}: open ${price(row[1], d)}, high ${price(row[2], d)}, low ${price(row[3], d)}, close ${price(row[4], d)}`;
  }

  paint() {
    const { context: c, canvas } = this;
    const ratio = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width || !height) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.fillStyle = GROUND;
    c.fillRect(0, 0, width, height);
    if (!this.rows.length || !this.instrument) return;
    this.scale(width, height);
    this.grid(width, height);
    this.candles();
    this.trades();
    this.lastPrice(width);
    this.crosshair(width, height);
  }

  scale(width, height) {
    const end = this.rows.length - this.behind;
    const start = Math.max(end - this.shown, 0);
    Object.assign(this, { start, end, plotWidth: width - RIGHT, plotHeight: height - BOTTOM });
    this.step = this.plotWidth / (this.shown + 2);
    let low = Infinity;
    let high = -Infinity;
    for (let i = start; i < end; i++) {
      low = Math.min(low, this.rows[i][3]);
      high = Math.max(high, this.rows[i][2]);
    }
    const pad = (high - low || Math.abs(high) * 1e-4 || 1) * 0.1;
    this.low = low - pad;
    this.high = high + pad;
    this.x = (index) => (index - (end - this.shown) + 0.5) * this.step;
    this.y = (value) => ((this.high - value) / (this.high - this.low)) * this.plotHeight;
    const newest = this.rows[this.rows.length - 1][4];
    this.lastY = Math.min(Math.max(Math.round(this.y(newest)), LABEL / 2), this.plotHeight - LABEL / 2) + 0.5;
    const hovers = this.pointer && this.pointer.x < this.plotWidth && this.pointer.y < this.plotHeight;
    this.pointerY = hovers ? this.pointer.y : null;
  }

  grid(width, height) {
    const c = this.context;
    const d = this.instrument.price_decimals;
    c.font = `10.5px ${getComputedStyle(this.canvas).fontFamily}`;
    c.textBaseline = "middle";
    c.lineWidth = 1;
    const rough = (this.high - this.low) / Math.max(this.plotHeight / 56, 2);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((m) => m >= rough);
    c.textAlign = "left";
    for (let v = Math.ceil(this.low / step) * step; v < this.high; v += step) {
      const y = Math.round(this.y(v)) + 0.5;
      c.strokeStyle = LINE;
      c.beginPath(); c.moveTo(0, y); c.lineTo(this.plotWidth, y); c.stroke();
      if ([this.lastY, this.pointerY].some((at) => at !== null && Math.abs(at - y) < LABEL - 2)) continue; // a box stands there
      c.fillStyle = AXIS;
      c.fillText(price(v, d), this.plotWidth + 9, y);
    }
    const perLabel = Math.ceil(78 / this.step);
    const every = STEPS_MS.find((ms) => ms >= perLabel * this.intervalMs) ?? perLabel * this.intervalMs;
    c.textAlign = "center";
    for (let i = this.start; i < this.end; i++) {
      if (this.rows[i][0] % every) continue;
      const x = Math.round(this.x(i)) + 0.5;
      if (x < 26 || x > this.plotWidth - 20) continue;
      c.strokeStyle = LINE;
      c.beginPath(); c.moveTo(x, 0); c.lineTo(x, this.plotHeight); c.stroke();
      c.fillStyle = AXIS;
      c.fillText(clock(this.rows[i][0]).slice(0, 5), x, height - BOTTOM / 2);
    }
  }

  candles() {
    const c = this.context;
    const body = Math.max(Math.floor(this.step * 0.66), 1);
    c.globalAlpha = this.stale ? 0.45 : 1;
    for (let i = this.start; i < this.end; i++) {
      const [, open, high, low, close] = this.rows[i];
      const x = Math.round(this.x(i));
      const left = x - Math.floor(body / 2);
      const top = Math.round(this.y(Math.max(open, close)));
      const tall = Math.max(Math.round(this.y(Math.min(open, close))) - top, 1);
      c.fillStyle = close >= open ? UP : DOWN;
      c.fillRect(left + Math.floor((body - 1) / 2), Math.round(this.y(high)), 1, Math.max(Math.round(this.y(low)) - Math.round(this.y(high)), 1));
      c.fillRect(left, top, body, tall);
      if (close >= open && body > 3 && tall > 2) { // rising candles are hollow: the direction shows without colour
        c.fillStyle = GROUND;
        c.fillRect(left + 1, top + 1, body - 2, tall - 2);
      }
    }
    c.globalAlpha = 1;
  }

  trades() {
    const c = this.context;
    for (const order of this.working) {
      if (order.price === null) continue;
      const y = Math.round(this.y(order.price)) + 0.5;
      if (y < 0 || y > this.plotHeight) continue;
      c.strokeStyle = order.side === "buy" ? UP : DOWN;
      c.setLineDash([5, 4]);
      c.beginPath(); c.moveTo(0, y); c.lineTo(this.plotWidth, y); c.stroke();
      c.setLineDash([]);
      const text = `${order.side === "buy" ? "▲ buy" : "▼ sell"} ${size(order.size - order.filled)} waits`;
      c.fillStyle = GROUND;
      c.fillRect(4, y - 17, c.measureText(text).width + 8, 15);
      c.fillStyle = c.strokeStyle;
      c.textAlign = "left";
      c.fillText(text, 8, y - 9);
    }
    const first = this.rows[0]?.[0];
    for (const mark of this.marks) {
      const index = Math.floor((mark.time_ms - first) / this.intervalMs);
      const row = this.rows[index];
      if (!row || index < this.start || index >= this.end || mark.time_ms - row[0] >= this.intervalMs || mark.time_ms < row[0]) continue;
      const x = Math.round(this.x(index));
      const buy = mark.side === "buy";
      const y = buy ? this.y(row[3]) + 6 : this.y(row[2]) - 6;
      const tip = buy ? 9 : -9;
      c.beginPath(); c.moveTo(x, y); c.lineTo(x - 5.5, y + tip); c.lineTo(x + 5.5, y + tip); c.closePath();
      c.fillStyle = buy ? "#8fe3f3" : "#ffbf85";
      c.fill();
      c.strokeStyle = GROUND;
      c.stroke();
    }
  }

  lastPrice(width) {
    const row = this.rows[this.rows.length - 1];
    const y = this.lastY;
    const colour = this.stale ? AXIS : row[4] >= row[1] ? UP : DOWN;
    const c = this.context;
    c.strokeStyle = colour;
    c.setLineDash([2, 3]);
    c.beginPath(); c.moveTo(0, y); c.lineTo(this.plotWidth, y); c.stroke();
    c.setLineDash([]);
    this.label(width, y, price(row[4], this.instrument.price_decimals), colour, "#0c1016");
  }

  label(width, y, text, ground, ink) {
    const c = this.context;
    c.fillStyle = ground;
    c.beginPath(); c.roundRect(this.plotWidth + 3, y - LABEL / 2 - 0.5, RIGHT - 6, LABEL, 3); c.fill();
    c.fillStyle = ink;
    c.textAlign = "left";
    c.fillText(text, this.plotWidth + 9, y);
  }

  crosshair(width, height) {
    let index = this.at;
    const y = this.pointerY;
    if (y !== null) index = Math.min(Math.max(Math.floor(this.pointer.x / this.step) + this.end - this.shown, this.start), this.end - 1);
    const row = this.rows[index ?? this.rows.length - 1];
    this.tell(row);
    if (index === null) return;
    const c = this.context;
    const x = Math.round(this.x(index)) + 0.5;
    c.strokeStyle = "#4b5c70";
    c.setLineDash([3, 3]);
    c.beginPath(); c.moveTo(x, 0); c.lineTo(x, this.plotHeight);
    if (y !== null) { c.moveTo(0, y + 0.5); c.lineTo(this.plotWidth, y + 0.5); }
    c.stroke();
    c.setLineDash([]);
    c.textAlign = "center";
    const text = clock(row[0]).slice(0, 5);
    c.fillStyle = "#2b3848";
    c.beginPath(); c.roundRect(x - 24, this.plotHeight + 3, 48, 18, 3); c.fill();
    c.fillStyle = TEXT;
    c.fillText(text, x, this.plotHeight + 12.5);
    if (y !== null) this.label(width, y, price(this.high - (y / this.plotHeight) * (this.high - this.low), this.instrument.price_decimals), "#2b3848", TEXT);
  }

  tell(row) {
    const d = this.instrument.price_decimals;
    const made = ["O", "H", "L", "C"].flatMap((name, i) => [`${i ? "  " : ""}${name} `, Object.assign(document.createElement("b"), { textContent: price(row[i + 1], d) })]);
    this.readout.replaceChildren(`${clock(row[0]).slice(0, 5)}  `, ...made);
  }
}
