/** The reader's mark, estimate and note of a result: kept on the server, or in this page until they are saved. */

import { thresholdText } from "./numbers.js";
import { source } from "./source.js";

const PAUSE_MS = 600; // after the last letter of a note
const COLUMNS = ["name", "reader", "mark", "severity_percent", "threshold", "note", "stated_at", "model"];

const byId = (id) => document.getElementById(id);

export class Opinions {
  /**
   * @param stated opinions by result
   * @param reader who states them
   * @param threshold gives the threshold that stands
   * @param tell called with what went wrong
   */
  constructor(stated, reader, threshold, tell) {
    this.stated = stated;
    this.reader = reader;
    this.threshold = threshold;
    this.tell = tell;
    this.unsaved = new Map(); // of an exported page: rows by result
    this.waiting = null;
    this.sending = Promise.resolve(); // one after the other, so that the last word stays
    byId("reader").textContent = `Reader: ${reader}`;
    byId("agree").addEventListener("click", () => this.mark("agree"));
    byId("disagree").addEventListener("click", () => this.mark("disagree"));
    for (const field of [byId("estimate"), byId("note")]) {
      field.addEventListener("input", () => this.#soon());
      field.addEventListener("change", () => this.#keep());
    }
    byId("opinion").addEventListener("submit", (event) => event.preventDefault());
    byId("save").addEventListener("click", () => this.#save());
    window.addEventListener("beforeunload", (event) => {
      if (this.unsaved.size || this.waiting) event.preventDefault();
    });
  }

  /** Show what was said of a result; what was being written of another is kept first. */
  show(result) {
    if (this.waiting) this.#keep();
    this.result = result;
    const { mark = "", severity_percent: estimate = null, note = "", threshold } = this.stated[result.id] ?? {};
    this.markedAt = mark ? threshold : null;
    byId("estimate").value = estimate ?? "";
    byId("note").value = note;
    byId("kept").textContent = mark ? `Marked at a threshold of ${thresholdText(threshold)}.` : "";
    byId("opinion").hidden = Boolean(result.rejected);
    this.#press(mark);
  }

  mark(kind) {
    if (!this.result || this.result.rejected) return;
    this.#press(this.#mark === kind ? "" : kind);
    this.markedAt = this.#mark ? this.threshold() : null;
    this.#keep();
  }

  get #mark() {
    return ["agree", "disagree"].find((kind) => byId(kind).getAttribute("aria-pressed") === "true") ?? "";
  }

  #press(mark) {
    for (const kind of ["agree", "disagree"]) byId(kind).setAttribute("aria-pressed", kind === mark);
  }

  #soon() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.#keep(), PAUSE_MS);
  }

  async #keep() {
    clearTimeout(this.waiting);
    this.waiting = null;
    const { result } = this;
    const estimate = byId("estimate");
    if (!estimate.checkValidity()) {
      this.tell("The severity is a number from 0 to 100; it is not kept.");
      return;
    }
    const opinion = {
      mark: this.#mark,
      severity_percent: estimate.value === "" ? null : Number(estimate.value),
      threshold: Number((this.markedAt ?? this.threshold()).toFixed(4)),
      note: byId("note").value,
    };
    const before = this.stated[result.id];
    if (same(before, opinion)) return;
    this.stated[result.id] = opinion;
    try {
      this.sending = this.sending.catch(() => {}).then(() => source.keep(result.id, opinion));
      await this.sending;
      if (!source.canKeep) this.#note(result, opinion);
      if (this.result === result) byId("kept").textContent = source.canKeep ? "Kept." : "Not saved yet.";
    } catch (error) {
      this.stated[result.id] = before ?? {};
      if (this.result === result) byId("kept").textContent = "Not kept.";
      this.tell(`Your opinion of ${result.source} is not kept. ${error.message}`);
    }
  }

  #note(result, opinion) {
    const row = { ...opinion, name: result.name, reader: this.reader, model: result.model };
    this.unsaved.set(result.id, { ...row, stated_at: new Date().toISOString() });
    byId("save").hidden = false;
  }

  /** A page that was opened as a file writes none: the reader saves one. */
  #save() {
    const cell = (value) => `"${String(value ?? "").replaceAll('"', '""')}"`;
    const rows = [...this.unsaved.values()].map((row) => COLUMNS.map((column) => cell(row[column])).join());
    const file = new Blob([[COLUMNS.join(), ...rows, ""].join("\r\n")], { type: "text/csv" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(file);
    link.download = "opinions.csv";
    link.click();
    URL.revokeObjectURL(link.href);
    this.unsaved.clear();
    byId("save").hidden = true;
    byId("kept").textContent = "Saved as opinions.csv.";
  }
}

/** The threshold alone is no opinion: it is kept with what is said. */
function same(before, now) {
  const { mark = "", severity_percent: estimate = null, note = "", threshold } = before ?? {};
  const moved = now.mark && threshold !== now.threshold;
  return !moved && mark === now.mark && estimate === now.severity_percent && note === now.note;
}
