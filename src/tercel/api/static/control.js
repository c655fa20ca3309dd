// HALT and resume: plain HTTP, so that they work when the stream is down. HALT takes one press; resuming takes a typed word.

import { $, say } from "./panels.js";

const HALT_WAIT_MS = 6000;

async function post(address, body) {
  const answer = await fetch(address, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(HALT_WAIT_MS),
  });
  return { status: answer.status, ...(await answer.json()) };
}

export class Control {
  constructor() {
    this.note = "";
    this.busy = false;
    $("halt").onclick = () => this.halt();
    $("resume").onclick = () => this.open();
    $("resume-cancel").onclick = () => $("resume-dialog").close();
    $("resume-word").oninput = () => { $("resume-go").disabled = $("resume-word").value !== "RESUME"; };
    $("resume-dialog").querySelector("form").onsubmit = (event) => { event.preventDefault(); this.resume(); };
  }

  /** Show what the trader and the kill flag say. `halted`: trading is stopped; `openOrders`: how many orders are still open. */
  show(halted, openOrders) {
    this.openOrders = openOrders;
    if (halted && !this.halted && !this.busy && !this.note) this.alarm("Trading is halted. Resuming takes a typed confirmation.");
    if (!halted && this.halted && !this.busy) this.alarm("");
    this.halted = halted;
    const halt = $("halt");
    $("resume").hidden = !halted;
    halt.dataset.done = halted ? "yes" : "no";
    if (!this.busy) this.label(halted ? "HALTED" : "HALT");
  }

  /** The text of the button; what screen readers hear is its alarm. */
  label(text) {
    const halt = $("halt");
    if (halt.lastChild.textContent !== ` ${text}`) halt.lastChild.textContent = ` ${text}`;
  }

  alarm(text) {
    say($("alarm"), text);
    this.note = text;
  }

  async halt() {
    this.busy = true;
    this.label("HALTING");
    this.alarm("Halting");
    try {
      const answer = await post("/api/halt", { why: "HALT pressed on the page" });
      if (answer.state === "halted") this.alarm(`Halted by input ${answer.input_number}. ${this.openText()}`);
      else if (answer.state === "not_running") this.alarm("No trader is running. The kill flag is set: the next one starts halted.");
      else this.alarm(`The kill flag is set and blocks every send, but the trader did not answer. ${answer.error ?? ""}`);
    } catch {
      this.alarm("HALT did not reach the desk. Run: tercel halt");
    }
    this.busy = false;
    this.show(this.halted, this.openOrders);
    this.onDone?.();
  }

  openText() {
    return this.openOrders ? `Being cancelled: ${this.openOrders} open ${this.openOrders === 1 ? "order" : "orders"}.` : "No order is open.";
  }

  open() {
    $("resume-word").value = "";
    $("resume-go").disabled = true;
    say($("resume-answer"), "");
    say($("resume-open"), this.openOrders ? `Orders still open: ${this.openOrders}.` : "No order is open.");
    $("resume-dialog").showModal();
    $("resume-word").focus();
  }

  async resume() {
    if ($("resume-word").value !== "RESUME") return;
    $("resume-go").disabled = true;
    say($("resume-answer"), "Asking the trader");
    try {
      const answer = await post("/api/resume", { confirm: $("resume-word").value, why: "resumed on the page" });
      if (answer.state === "running") {
        $("resume-dialog").close();
        this.alarm("");
      } else say($("resume-answer"), answer.error ?? `The trader answered: ${answer.state}`);
    } catch {
      say($("resume-answer"), "The request did not reach the desk. Run: tercel resume");
    }
    $("resume-go").disabled = false;
    this.onDone?.();
  }
}
