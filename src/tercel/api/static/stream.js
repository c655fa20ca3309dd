// The connection to the desk: a mirror of what it holds, kept by messages that carry only what changed. Every message is answered with its
// version, so that the desk knows how much this page takes. `now()` is the desk's clock, estimated from the quickest message.

const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 8000;
const SILENT_MS_MAX = 4000; // the desk sends something every second; a connection that says nothing for this long is dead
const KEYED = ["instruments", "candles", "orders", "events", "signals"];
const ITEMS_MAX = 1000; // of one section; the oldest go first, the journal has them

export class Stream {
  constructor(onChange) {
    this.onChange = onChange;
    this.connected = false;
    this.since = performance.now();
    this.offset = Date.now() - performance.now();
    this.retry = RETRY_MS_MIN;
    this.heard = 0;
    this.reset();
    this.connect();
    setInterval(() => this.watch(), 1000);
  }

  reset() {
    this.state = { status: null, desk: null, totals: [], stages: [], reasons: [] };
    for (const section of KEYED) this.state[section] = new Map();
  }

  /** The desk's wall clock in ms. */
  now() {
    return performance.now() + this.offset;
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws`);
    this.socket = socket;
    this.heard = performance.now();
    let first = true;
    socket.onmessage = (event) => {
      this.heard = performance.now();
      const message = JSON.parse(event.data);
      socket.send(String(message.v));
      const offset = message.now_ms - this.heard;
      this.offset = first ? offset : Math.max(this.offset - 0.05, offset);
      first = false;
      this.retry = RETRY_MS_MIN;
      if (!this.connected) this.turn(true);
      this.take(message);
    };
    socket.onclose = () => {
      if (this.socket !== socket) return;
      this.turn(false);
      setTimeout(() => this.connect(), this.retry);
      this.retry = Math.min(this.retry * 2, RETRY_MS_MAX);
    };
  }

  turn(connected) {
    if (this.connected !== connected) this.since = performance.now();
    this.connected = connected;
    this.onChange(new Set(["connection"]));
  }

  watch() {
    if (this.socket.readyState === WebSocket.OPEN && performance.now() - this.heard > SILENT_MS_MAX) this.socket.close();
  }

  take(message) {
    const changed = new Set();
    if (message.full) {
      this.reset();
      changed.add("everything");
      for (const section of Object.keys(this.state)) changed.add(section);
    }
    for (const [section, value] of Object.entries(message)) {
      if (KEYED.includes(section)) {
        const held = this.state[section];
        for (const [key, item] of Object.entries(value)) held.set(key, item);
        while (held.size > ITEMS_MAX) held.delete(held.keys().next().value);
        changed.add(section);
      } else if (section in this.state) {
        this.state[section] = value;
        changed.add(section);
      }
    }
    if (changed.size) this.onChange(changed);
  }
}
