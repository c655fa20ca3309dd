// Numbers and times as people read them. null is what the source does not say; it is shown as a dash, never as zero.

export const DASH = "—";

const GROUPED = new Map();

function grouped(decimals) {
  if (!GROUPED.has(decimals)) {
    GROUPED.set(decimals, new Intl.NumberFormat("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }));
  }
  return GROUPED.get(decimals);
}

const minus = (text) => text.replace("-", "−");

/** A number with a fixed count of decimals and thousands apart by commas. */
export const number = (value, decimals = 0) => (value === null || value === undefined ? DASH : minus(grouped(decimals).format(value)));

/** A count in few letters: in full below 100,000, then "475 k", "12.3 M", "4,210 M". */
export function short(count) {
  if (count === null || count < 1e5) return number(count);
  return count < 1e6 ? `${number(Math.floor(count / 1e3))} k` : `${number(Math.floor(count / 1e5) / 10, count < 1e8 ? 1 : 0)} M`;
}

/** A price with the decimals of its instrument, ungrouped, so that digits stand under digits. */
export const price = (value, decimals) => (value === null || value === undefined ? DASH : minus(value.toFixed(decimals)));

/** A size without trailing zeros. */
export const size = (value) => (value === null || value === undefined ? DASH : value.toLocaleString("en-US", { maximumFractionDigits: 8 }));

/** Money from micro-units, with its sign: "+1,234.50". */
export function money(micros, signed = true) {
  if (micros === null || micros === undefined) return DASH;
  const text = grouped(2).format(Math.abs(micros) / 1e6);
  const sign = micros < 0 ? "−" : signed && micros > 0 ? "+" : "";
  return sign + text;
}

/** A latency in µs: three digits that matter. */
export function micros(value) {
  if (!value) return DASH;
  return value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : grouped(0).format(value);
}

/** An age in ms: "0.3 s", "12 s", "3 min", "5 h". */
export function age(ms) {
  if (ms === null || !Number.isFinite(ms)) return DASH;
  const s = Math.max(ms, 0) / 1000;
  if (s < 10) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  return s < 7200 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h`;
}

const two = (value) => String(value).padStart(2, "0");

/** The time of day in UTC: "14:03:27". */
export function clock(ms) {
  if (!ms) return DASH;
  const t = new Date(ms);
  return `${two(t.getUTCHours())}:${two(t.getUTCMinutes())}:${two(t.getUTCSeconds())}`;
}

/** The date in UTC: "2026-11-21". */
export const date = (ms) => (ms ? new Date(ms).toISOString().slice(0, 10) : DASH);

/** [symbol, venue] of "EURUSD@oanda". */
export const parts = (name) => name.split("@", 2);
