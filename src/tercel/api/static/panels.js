// The tables. Each keeps its rows by key and touches a cell only when its text changed, so ten updates a second cost little and a screen
// reader or a selection in the middle of a table is not disturbed.

import { age, clock, date, micros, money, number, parts, price, short, size } from "./format.js";

export const STALE_MS = 2000;
const ROWS_MAX = 60; // of orders and events; the rest is in the journal

export const $ = (id) => document.getElementById(id);

/** Set text, class or attribute only when it differs. */
export function say(node, text, className) {
  if (node.textContent !== text) node.textContent = text;
  if (className !== undefined && node.className !== className) node.className = className;
}

/** Rows of `body` by key in the order of `items`; `make` builds the cells of a new row once, `fill` writes them. */
function rows(body, items, key, make, fill) {
  const held = (body.held ??= new Map());
  if (!items.length) return;
  body.querySelector(".empty")?.remove();
  const wanted = new Set();
  let place = body.firstElementChild;
  for (const item of items) {
    const name = key(item);
    wanted.add(name);
    let row = held.get(name);
    if (!row) {
      row = document.createElement("tr");
      row.append(...make(item));
      held.set(name, row);
    }
    if (row === place) place = place.nextElementSibling;
    else body.insertBefore(row, place);
    fill(row, row.children, item);
  }
  for (const [name, row] of held) {
    if (!wanted.has(name)) {
      row.remove();
      held.delete(name);
    }
  }
}

function cells(count, numeric = [], head = 0) {
  return Array.from({ length: count }, (_, index) => {
    const cell = document.createElement(index === head ? "th" : "td");
    if (index === head) cell.scope = "row";
    if (numeric.includes(index)) cell.className = "n";
    return cell;
  });
}

function instrumentCell(cell, name) {
  const [symbol, venue] = parts(name);
  if (cell.dataset.name === name) return;
  cell.dataset.name = name;
  cell.replaceChildren(symbol);
  if (venue) {
    const small = document.createElement("span");
    small.className = "venue";
    small.textContent = `@${venue}`;
    small.title = name; // a long venue is cut
    cell.append(small);
  }
}

function track(kind) {
  const outer = document.createElement("span");
  outer.className = `track ${kind}`;
  outer.setAttribute("aria-hidden", "true");
  outer.append(document.createElement("i"));
  return outer;
}

const wide = (bar, share) => bar.firstChild.style.setProperty("width", `${Math.round(Math.min(Math.max(share, 0), 1) * 100)}%`);

export function prices(state, selected, choose) {
  rows($("prices"), [...state.instruments.values()], (item) => item.name, (item) => {
    const made = cells(5, [1, 2, 3, 4]);
    const pick = document.createElement("button");
    pick.type = "button";
    pick.className = "pick";
    instrumentCell(pick, item.name);
    made[0].append(pick);
    for (const cell of [made[1], made[2]]) cell.append(Object.assign(document.createElement("span"), { className: "price" }));
    made[4].classList.add("age");
    return made;
  }, (row, cell, item) => {
    row.onclick ??= () => choose(item.name);
    row.dataset.name = item.name;
    row.classList.toggle("selected", item.name === selected);
    cell[0].firstChild.setAttribute("aria-pressed", String(item.name === selected));
    move(cell[1].firstChild, item.bid, item.price_decimals);
    move(cell[2].firstChild, item.ask, item.price_decimals);
    say(cell[3], price(item.spread, item.price_decimals));
  });
}

function move(node, value, decimals) {
  const text = price(value, decimals);
  if (node.textContent === text) return;
  const before = node.value;
  node.value = value;
  node.textContent = text;
  if (before === undefined || before === null || value === null) return;
  node.className = "price";
  void node.offsetWidth; // starts the animation anew
  node.className = `price ${value > before ? "moved-up" : "moved-down"}`;
}

/** Ages and staleness: a price older than two seconds is grey and says how old it is, and so is what was valued with it. */
export function ages(state, now) {
  const quoted = $("prices").held;
  const valued = $("positions").held;
  for (const item of state.instruments.values()) {
    const row = quoted?.get(item.name);
    if (!row) continue;
    const old = item.arrived_ms ? now - item.arrived_ms : null;
    const stale = old === null || old > STALE_MS;
    say(row.children[4], item.arrived_ms ? age(old) : "none");
    row.classList.toggle("stale", stale);
    valued?.get(item.name)?.classList.toggle("stale", stale);
  }
}

export function positions(state) {
  const items = [...state.instruments.values()].filter((item) => item.position || item.cash_micros || item.open_orders);
  rows($("positions"), items, (item) => item.name, () => cells(5, [1, 2, 3, 4]), (row, cell, item) => {
    instrumentCell(cell[0], item.name);
    say(cell[1], `${item.position > 0 ? "+" : item.position < 0 ? "−" : ""}${size(Math.abs(item.position))}`, `n ${item.position > 0 ? "up" : item.position < 0 ? "down" : "soft"}`);
    say(cell[2], `${money(item.pnl_micros)} ${item.currency}`, `n ${item.pnl_micros > 0 ? "up" : item.pnl_micros < 0 ? "down" : "soft"}`);
    say(cell[3], money(item.fees_micros, false), "n soft");
    say(cell[4], String(item.open_orders), item.open_orders ? "n" : "n soft");
  });
}

export function totals(state) {
  const shown = state.totals.filter((item) => item.pnl_micros || item.cash_micros);
  const nodes = shown.map((item) => {
    const part = document.createElement("span");
    const amount = document.createElement("b");
    amount.textContent = money(item.pnl_micros);
    amount.className = item.pnl_micros > 0 ? "up" : item.pnl_micros < 0 ? "down" : "";
    part.append(amount, ` ${item.currency}`);
    return part;
  });
  $("totals").replaceChildren(...(nodes.length ? ["P&L ", ...nodes] : []));
}

const byName = (state) => new Map([...state.instruments.values()].map((item) => [item.name, item]));

export function signals(state) {
  const known = byName(state);
  const items = [...state.signals.values()].sort((a, b) => b.time_ms - a.time_ms);
  rows($("signals"), items, (item) => item.instrument, () => cells(5, [2, 3, 4]), (row, cell, item) => {
    instrumentCell(cell[0], item.instrument);
    say(cell[1], { buy: "▲ buy", sell: "▼ sell", flat: "– flat" }[item.side], `side-${item.side}`);
    say(cell[2], number(item.score, (known.get(item.instrument)?.price_decimals ?? 5) + 1)); // an expected move, in price
    say(cell[3], number(item.confidence, 3));
    say(cell[4], clock(item.time_ms), "n soft");
  });
}

export function orders(state) {
  const known = byName(state);
  const items = [...state.orders.values()].sort((a, b) => b.open - a.open || b.seen - a.seen).slice(0, ROWS_MAX);
  rows($("orders"), items, (item) => item.id, () => cells(7, [3, 4, 5], 1), (row, cell, item) => {
    const decimals = known.get(item.instrument)?.price_decimals ?? 5;
    const hand = item.by === "hand";
    row.title = `${item.id} · ${date(item.placed_ms)}${item.by ? ` · by ${hand ? `hand ${item.client_id}` : `the ${item.by}`}` : ""}`;
    say(cell[0], clock(item.placed_ms), "soft");
    instrumentCell(cell[1], item.instrument);
    say(cell[2], item.side === "buy" ? "▲ buy" : "▼ sell", `side-${item.side}`);
    say(cell[3], item.open && item.filled ? `${size(item.filled)} of ${size(item.size)}` : size(item.size));
    say(cell[4], item.type === "market" ? "market" : price(item.price, decimals), item.type === "market" ? "n soft" : "n");
    say(cell[5], price(item.filled_price, decimals));
    say(cell[6], `${item.open ? "● " : ""}${item.state.replace("_", " ")}${hand ? ", by hand" : ""}`, item.open ? "warn" : "soft");
  });
}

const WHAT = { fill: "fill", denied: "✕ denied", halt: "■ halted", resume: "▶ resumed" };

export function events(state) {
  const known = byName(state);
  const items = [...state.events.values()].sort((a, b) => b.number - a.number).slice(0, ROWS_MAX);
  rows($("events"), items, (item) => item.number, () => cells(5, [3, 4], 1), (row, cell, item) => {
    const decimals = known.get(item.instrument)?.price_decimals ?? 5;
    const what = item.kind === "fill" ? `${item.side === "buy" ? "▲ bought" : "▼ sold"}` : item.kind === "denied" ? `✕ ${item.reason}` : WHAT[item.kind];
    say(cell[0], clock(item.time_ms), "soft");
    say(cell[1], what, item.kind === "fill" ? `side-${item.side}` : item.kind === "resume" ? "soft" : "warn");
    instrumentCell(cell[2], item.instrument);
    say(cell[3], item.instrument ? size(item.size) : "");
    say(cell[4], item.instrument ? price(item.price, decimals) : "");
    row.title = item.kind === "fill" ? `${item.liquidity}, fee ${money(item.fee_micros, false)}, position after ${size(item.position)}` : "";
  });
}

export function latency(state) {
  rows($("latency"), state.stages, (item) => item.name, () => {
    const made = cells(6, [1, 2, 4, 5]);
    made[3].append(track("budget"), Object.assign(document.createElement("span"), { className: "said" }));
    return made;
  }, (row, cell, item) => {
    const share = item.recent_p99_us / item.budget_us;
    const [bar, words] = cell[3].children;
    row.title = `${item.what}. Since the start: ${number(item.count)} times, p99 ${micros(item.p99_us)} µs, longest ${micros(item.max_us)} µs, ${(item.over * 100).toFixed(2)} % over budget.${item.asked_ms ? ` Asked: ${item.asked_ms} ms.` : ""}`;
    row.className = item.name === "total" ? "total-row" : "";
    say(cell[0], item.name);
    say(cell[1], micros(item.recent_p50_us));
    say(cell[2], micros(item.recent_p99_us));
    wide(bar, share / 2);
    bar.className = `track budget ${share > 1 ? "over" : share > 0.8 ? "near" : ""}`;
    say(words, !item.recent_count ? "" : share > 1 ? `over ×${share < 100 ? share.toFixed(1) : number(share)}` : `${Math.round(share * 100)} %`);
    say(cell[4], number(item.budget_us), "n soft");
    say(cell[5], short(item.count), "n soft");
  });
}

export function reasons(state) {
  const most = state.reasons.reduce((sum, item) => sum + item.count, 0) || 1;
  rows($("reasons"), state.reasons, (item) => item.code, () => {
    const made = cells(3, [2]);
    made[1].append(track("share"));
    return made;
  }, (row, cell, item) => {
    row.title = `${item.meaning}. ${item.remedy ? `What to do: ${item.remedy}.` : ""} ${Object.entries(item.by_instrument).map(([name, count]) => `${name} ${number(count)}`).join(", ")}`;
    say(cell[0], item.name.replaceAll("_", " "));
    wide(cell[1].firstChild, item.count / most);
    say(cell[2], number(item.count));
  });
}
