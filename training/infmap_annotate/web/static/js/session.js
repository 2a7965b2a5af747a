/** One reader before one item: what was asked, how long it took, and the way of a decision to the server. */

import { ask, deliver, randomId, tabId } from "./api.js";
import { troubleWith } from "./notice.js";

const UNSENT = "infmap.unsent";

/** What the server wrote into the page. */
export function embedded() {
  return JSON.parse(document.getElementById("item").textContent);
}

export const reader = document.body.dataset.reader;
export const queue = document.body.dataset.queue;
/** The page of this reader's candidates. */
export const pickPage = queue === "third" ? "/third" : "/pick";

/** Time spent looking: the clock stands while the tab is hidden. */
export class Stopwatch {
  constructor() {
    this.restart();
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.#before = this.elapsed_ms;
      this.#since = performance.now();
    });
  }

  #before = 0;
  #since = 0;

  restart() {
    this.#before = 0;
    this.#since = performance.now();
  }

  get elapsed_ms() {
    const running = document.hidden ? 0 : performance.now() - this.#since;
    return Math.round(this.#before + running);
  }
}

/** Deliver a decision; the answer is `{ decision, next }`. Throws `Refused` when the server will not have it. */
export async function decide({ item, kind, slot = null, elapsed_ms }) {
  return send({ item, kind, slot, elapsed_ms, queue, tab: tabId(), key: randomId() });
}

async function send(body) {
  // Kept over a reload too; the key lets the server count it once.
  sessionStorage[UNSENT] = JSON.stringify({ reader, body });
  const stay = (event) => event.preventDefault();
  window.addEventListener("beforeunload", stay);
  try {
    return await deliver(() => ask("POST", "/api/decisions", { json: body }), troubleWith("Your decision"));
  } finally {
    window.removeEventListener("beforeunload", stay);
    delete sessionStorage[UNSENT];
  }
}

/** Deliver what an earlier page of this tab could not; null where there is nothing. */
export async function deliverUnsent() {
  const unsent = JSON.parse(sessionStorage[UNSENT] ?? "null");
  if (unsent?.reader !== reader) return null; // another reader's waits for its own
  return send(unsent.body);
}

/** The item that the reader is to decide now. */
export function current() {
  return ask("GET", `/api/items/current?queue=${queue}`);
}

/** The item after this one. */
export function following(item) {
  return ask("GET", `/api/items/${item}/following`);
}
