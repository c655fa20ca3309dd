// Start here. What arrives marks sections as changed; once per animation frame the changed ones are drawn. Ages are drawn four times a
// second, by the desk's clock, whether or not anything arrives: a frozen number must never look alive.

import { Chart } from "./chart.js";
import { Control } from "./control.js";
import { age, clock, date, micros, number, parts, price } from "./format.js";
import * as panels from "./panels.js";
import { Stream } from "./stream.js";

const { $, say, STALE_MS } = panels;
const AGES_MS = 250;
const CANDLE_ROWS = 30;
const CANDLES_MAX = 256;
const RETRY_MS = 2000;

const control = new Control();
const chart = new Chart($("chart"), $("readout"));
const dirty = new Set();
let selected = null;
let history = { name: null, rows: [], count: 0, intervalMs: 60_000, loading: false };
let frame;
let rate = { at: 0, input: 0, text: "—" };

const stream = new Stream((sections) => {
  for (const section of sections) dirty.add(section);
  frame ??= requestAnimationFrame(draw);
});
control.onDone = () => say($("alarm"), control.note);

function draw() {
  frame = undefined;
  const { state } = stream;
  const changed = new Set(dirty);
  dirty.clear();
  const any = (...sections) => sections.some((section) => changed.has(section));
  if (changed.has("everything")) history.name = null;
  if (changed.has("instruments")) {
    if (!selectedItem()) selected = state.instruments.values().next().value?.name ?? null;
    panels.prices(state, selected, choose);
    panels.positions(state);
  }
  if (changed.has("totals")) panels.totals(state);
  if (changed.has("signals")) panels.signals(state);
  if (any("orders", "instruments")) panels.orders(state);
  if (any("events", "instruments")) panels.events(state);
  if (changed.has("stages")) panels.latency(state);
  if (changed.has("reasons")) panels.reasons(state);
  if (any("candles", "instruments", "events", "orders", "selection")) drawChart();
  drawBar();
  drawAges();
}

const selectedItem = () => [...stream.state.instruments.values()].find((item) => item.name === selected);

function choose(name) {
  selected = name;
  panels.prices(stream.state, selected, choose);
  redraw("selection");
}

// The chart: history over REST once, then the newest two candles with every message.
async function load(name) {
  history = { name, rows: [], count: 0, intervalMs: 60_000, loading: true };
  try {
    const answer = await fetch(`/api/historical/chart-data/${encodeURIComponent(name)}`);
    if (!answer.ok) throw new Error(String(answer.status));
    const got = await answer.json();
    if (history.name === name) history = { name, rows: got.candles, count: got.count, intervalMs: got.interval_ms, loading: false };
  } catch {
    await new Promise((done) => setTimeout(done, RETRY_MS));
    if (history.name === name) history = { ...history, name: null, loading: false };
  }
  redraw("selection");
}

function redraw(section) {
  dirty.add(section);
  frame ??= requestAnimationFrame(draw);
}

function extend(live) {
  const missed = live.count - history.count;
  if (missed < 0) return true; // the history is ahead of the stream for a moment
  if (missed > live.rows.length) return false;
  for (const row of live.rows) {
    const last = history.rows.at(-1);
    if (last && row[0] < last[0]) {
      const before = history.rows.at(-2);
      if (before && before[0] === row[0]) history.rows[history.rows.length - 2] = row;
    } else if (last && row[0] === last[0]) history.rows[history.rows.length - 1] = row;
    else history.rows.push(row);
  }
  history.rows.splice(0, Math.max(history.rows.length - CANDLES_MAX, 0));
  history.count = live.count;
  return true;
}

function drawChart() {
  const item = selectedItem();
  if (!item) return;
  const [symbol, venue] = parts(item.name);
  say($("chart-title"), venue ? `${symbol} @${venue}` : symbol);
  if (history.loading) return;
  const live = stream.state.candles.get(String(item.slot));
  if (history.name !== item.name || (live && !extend(live))) {
    load(item.name);
    return;
  }
  const marks = [...stream.state.events.values()].filter((event) => event.kind === "fill" && event.instrument === item.name);
  const working = [...stream.state.orders.values()].filter((order) => order.open && order.instrument === item.name);
  chart.set(item, history.rows, history.intervalMs, marks, working, isStale(item));
  const last = history.rows.at(-1);
  if (last && chart.at === null) $("chart").setAttribute("aria-label", `${history.rows.length} candles of ${chart.words(last)}`);
  if (!$("candle-table").hidden) drawCandleTable(item);
}

function drawCandleTable(item) {
  const rows = history.rows.slice(-CANDLE_ROWS).reverse().map((row) => {
    const made = document.createElement("tr");
    const cells = [clock(row[0]), ...row.slice(1, 5).map((value) => price(value, item.price_decimals)), number(row[5])];
    made.append(...cells.map((text, i) => Object.assign(document.createElement(i ? "td" : "th"), { textContent: text, className: i ? "n" : "" })));
    made.firstChild.scope = "row";
    return made;
  });
  $("candles").replaceChildren(...rows);
}

$("as-table").onclick = () => {
  const table = $("candle-table").hidden;
  $("candle-table").hidden = !table;
  $("chart").parentElement.hidden = table;
  $("as-table").ariaPressed = String(table);
  const item = selectedItem();
  if (table && item) drawCandleTable(item);
};

const isStale = (item) => !item.arrived_ms || stream.now() - item.arrived_ms > STALE_MS;

function kind(id, text, name) {
  say($(id), text);
  $(id).dataset.kind = name;
}

function drawBar() {
  const { status, desk, stages, orders } = stream.state;
  if (!status) return;
  const halted = status.halted || Boolean(desk?.killed);
  say($("account"), status.account);
  say($("mode"), status.mode);
  $("mode").dataset.live = status.mode === "LIVE" ? "yes" : "no";
  if (desk && !desk.alive) kind("trading", "trader not running", "bad");
  else if (halted) kind("trading", desk?.killed && !status.halted ? "halted by the kill flag" : "halted", "bad");
  else if (status.rewarmed) kind("trading", `${status.state}, rewarmed`, "warn");
  else kind("trading", status.state, ["running", "trading"].includes(status.state) ? "good" : "warn");
  control.show(halted, [...orders.values()].filter((order) => order.open).length);
  const total = stages.find((stage) => stage.name === "total");
  say($("tick-to-order"), total?.recent_count ? `${micros(total.recent_p99_us)} µs` : "—");
  $("tick-to-order").className = total && total.recent_p99_us > total.budget_us ? "warn" : "";
  say($("core-time"), `${date(status.core_time_ms)} ${clock(status.core_time_ms)}`);
  say($("order-counts"), `${number(status.orders)} sent · ${number(status.fills)} fills · ${number(status.denied)} denied`);
  const lost = status.dropped || status.late_ticks ? ` · ${number(status.dropped)} dropped, ${number(status.late_ticks)} late` : "";
  say($("session"), `${status.feed} · trader pid ${status.pid}, epoch ${status.epoch}, since ${date(status.started_ms)} ${clock(status.started_ms)} UTC · input ${number(status.input_number)}${lost}`);
}

function drawAges() {
  const { state } = stream;
  const now = stream.now();
  panels.ages(state, now);
  kind("connection", stream.connected ? "connected to the desk" : "no connection to the desk", stream.connected ? "good" : "bad");
  const status = state.status;
  if (!status) {
    drawBanner(stream.connected ? state.desk?.problem || "" : performance.now() - stream.since > 1500 ? "No connection to the desk. Trying again." : "", "warn");
    return;
  }
  const dataAge = status.data_age_ms + now - status.published_ms;
  const old = dataAge > STALE_MS;
  document.body.classList.toggle("frozen", old);
  say($("data-age"), age(dataAge));
  $("data-age").className = old ? "warn" : "";
  const live = status.feed_state === "live";
  kind("feed", old && live ? "stale" : status.feed_state, old || !live ? "warn" : "good");
  $("feed").title = `${status.feed_reconnects} reconnects, ${status.feed_gaps} gaps, ${status.feed_dropped} messages dropped. ${status.feed_problem}`;
  if (now - rate.at >= 1000) {
    if (rate.at && status.input_number >= rate.input) rate.text = `${number(Math.round(((status.input_number - rate.input) * 1000) / (now - rate.at)))} /s`;
    rate = { at: now, input: status.input_number, text: rate.text };
    say($("inputs"), rate.text);
  }
  const item = selectedItem();
  if (item && chart.stale !== isStale(item)) drawChart();
  if (!stream.connected) drawBanner(`No connection to the desk. What you see is ${age(dataAge)} old. HALT still tries; tercel halt always works.`, "bad");
  else if (state.desk && !state.desk.alive) drawBanner(`The trader is not running. What you see is its last state, ${age(dataAge)} old.`, "bad");
  else if (state.desk?.problem) drawBanner(`The live view cannot be read: ${state.desk.problem}`, "bad");
  else if (old) drawBanner(`No market data for ${age(dataAge)}.`, "warn");
  else if (state.desk?.journal_problem) drawBanner(state.desk.journal_problem, "warn");
  else drawBanner(control.note, status.halted || state.desk?.killed ? "bad" : "warn");
}

function drawBanner(text, name) {
  const banner = $("banner");
  banner.hidden = !text;
  banner.dataset.kind = name;
  // A screen reader is told of a new state, not of every tenth of a second of it.
  const same = banner.textContent.replace(/[\d.]+ (s|min|h)\b/g, "") === text.replace(/[\d.]+ (s|min|h)\b/g, "");
  banner.setAttribute("aria-live", same ? "off" : "polite");
  say(banner, text);
}

setInterval(drawAges, AGES_MS);
performance.mark("app:interactive");
