/** The radiograph that is looked at, another beside it, and what works on both: sliders, switches, linked zoom. */

import { findingIn } from "./finding.js";
import { percentText, thresholdText } from "./numbers.js";
import { Pane } from "./pane.js";
import { studyOf } from "./study.js";

const byId = (id) => document.getElementById(id);
const ZOOM = 1.25;
const PAN = 60; // CSS pixels a press
/** What every result opens with: switched off for one, a finding would be hidden in the next. */
const WHOLE_MAP = { divider: 0, opacity: 1, painted: true, contour: true, lungs: true, above: false };

const dayOf = ({ taken, written }) => (taken ? taken.slice(0, 10) : `written ${written.slice(0, 10)}`);

export class Desk {
  /** @param tell called with what went wrong */
  constructor(tell) {
    this.tell = tell;
    this.look = { ...WHOLE_MAP, threshold: 0.5 };
    const linked = { moved: (pane) => this.#link(pane), windowed: (pane) => this.#linkTone(pane) };
    this.figures = [...document.querySelectorAll(".panes figure")];
    this.panes = this.figures.map((figure) => new Pane(figure, this.look, linked));
    this.follow = () => {};
    for (const id of ["divider", "opacity"]) {
      byId(id).addEventListener("input", ({ target }) => this.set({ [id]: target.value / 100 }));
    }
    byId("threshold").addEventListener("input", ({ target }) => this.set({ threshold: Number(target.value) }));
    for (const id of ["painted", "above", "contour", "lungs"]) {
      byId(id).addEventListener("change", ({ target }) => this.set({ [id]: target.checked }));
    }
    byId("window").addEventListener("input", ({ target }) => this.panes[0].tone.set({ width: Number(target.value) }));
    byId("level").addEventListener("input", ({ target }) => this.panes[0].tone.set({ level: Number(target.value) }));
    byId("beside").addEventListener("change", ({ target }) => this.beside(target.value));
    byId("reset").addEventListener("click", () => this.reset());
  }

  /** Show a result; what is no longer wanted when it has come is dropped. */
  async show(id, others) {
    this.wanted = id;
    const study = await studyOf(id);
    if (this.wanted !== id) return null;
    this.study = study;
    this.#offer(others);
    await this.beside("");
    const { result } = study;
    this.panes[0].show(study);
    this.follow = findingIn(byId("finding"), study);
    for (const name of ["opacity", "above", "painted", "contour", "threshold"]) byId(name).disabled = !study.probability;
    for (const name of ["window", "level", "divider"]) byId(name).disabled = !study.radiograph;
    byId("lungs").disabled = !study.probability?.lungs;
    this.set({ ...WHOLE_MAP, threshold: result.threshold ?? 0.5 });
    return result;
  }

  /** Nothing: no picture stands under the name of another result. */
  clear() {
    this.study = null;
    this.follow = () => {};
    byId("finding").replaceChildren();
    for (const pane of this.panes) {
      pane.caption.textContent = "";
      pane.show(null);
    }
  }

  /** Another radiograph beside it: of the same patient, where the results tell. */
  async beside(id) {
    this.wantedBeside = id;
    const study = id ? await studyOf(id) : null;
    if (this.wantedBeside !== id) return;
    byId("beside").value = id;
    this.figures[1].hidden = !study;
    this.panes[1].show(study);
    this.#captions();
    this.figures[0].parentElement.classList.toggle("two", Boolean(study));
  }

  nextBeside() {
    const select = byId("beside");
    if (select.disabled) return;
    this.beside(select.options[(select.selectedIndex + 1) % select.options.length].value).catch(this.tell);
  }

  set(change) {
    Object.assign(this.look, change);
    const { look } = this;
    byId("divider").value = 100 * look.divider;
    byId("divider-value").textContent = `${Math.round(100 * look.divider)} %`;
    byId("opacity").value = 100 * look.opacity;
    byId("opacity-value").textContent = `${Math.round(100 * look.opacity)} %`;
    byId("threshold").value = look.threshold;
    byId("threshold-value").textContent = thresholdText(look.threshold);
    for (const id of ["painted", "above", "contour", "lungs"]) byId(id).checked = look[id];
    this.follow(look.threshold);
    this.#captions();
    this.#showTone();
    for (const pane of this.panes) pane.redraw();
  }

  /** Move a slider's figure by steps, within 0 to 1. */
  step(name, by) {
    if (byId(name).disabled) return;
    const [least, most] = name === "threshold" ? [0.01, 0.99] : [0, 1];
    this.set({ [name]: Number(Math.min(Math.max(this.look[name] + by, least), most).toFixed(4)) });
  }

  toggle(name) {
    if (!byId(name).disabled) this.set({ [name]: !this.look[name] });
  }

  shift({ width = 0, level = 0 }) {
    const { tone } = this.panes[0];
    if (this.study?.radiograph) tone.set({ width: tone.width + width, level: tone.level + level });
  }

  zoom(times) {
    this.panes[0].view.zoomBy(times > 0 ? ZOOM : 1 / ZOOM);
  }

  pan(across, down) {
    this.panes[0].view.pan(across * PAN, down * PAN);
  }

  reset() {
    for (const pane of this.panes) {
      pane.tone.reset();
      pane.view.reset();
    }
    this.set({ ...WHOLE_MAP, threshold: this.study?.result.threshold ?? 0.5 });
  }

  #offer(others) {
    const { result } = this.study;
    const known = result.patient ? others.filter((card) => card.patient === result.patient) : [];
    const options = known.filter((card) => card.id !== result.id && card.has_picture);
    const none = result.patient ? "no other of this patient" : "patient not known";
    byId("beside").replaceChildren(
      new Option(options.length ? "nothing" : none, ""),
      ...options.map((card) => new Option(`${dayOf(card)} ${card.source}`, card.id)),
    );
    byId("beside").disabled = !options.length;
  }

  #captions() {
    for (const { study, caption, canvas } of this.panes) {
      if (!study) continue;
      const { result } = study;
      caption.textContent = `${result.source} · ${dayOf(result)} · ${this.#severityOf(study)}`;
      canvas.setAttribute("aria-label", `Radiograph ${result.source} with its map`);
    }
  }

  /** At the threshold where the contour stands; without probabilities there is no contour, but what was served. */
  #severityOf({ result, probability }) {
    if (result.rejected) return "rejected";
    if (!probability) return percentText(result.severity_percent, result.cut_offs);
    const { threshold } = this.look;
    return `${percentText(probability.severity(threshold), result.cut_offs)} at ${thresholdText(threshold)}`;
  }

  /** The same part of both: as a share of each, since they may be of two sizes. */
  #link(pane) {
    const other = this.panes[pane === this.panes[0] ? 1 : 0];
    if (this.linking || !other.study?.size || !pane.study?.size) return;
    this.linking = true;
    const { zoom, x, y } = pane.view.state;
    const [from, to] = [pane.study.size, other.study.size];
    other.view.restore({ zoom, x: (x * to.width) / from.width, y: (y * to.height) / from.height });
    this.linking = false;
  }

  #linkTone(pane) {
    const other = this.panes[pane === this.panes[0] ? 1 : 0];
    if (!this.linkingTone && other.study?.radiograph && !pane.tone.served) {
      this.linkingTone = true;
      other.tone.set({ width: pane.tone.width, level: pane.tone.level });
      this.linkingTone = false;
    }
    this.#showTone();
  }

  #showTone() {
    const { tone } = this.panes[0];
    const { width, level } = tone.stated;
    byId("window").value = tone.width;
    byId("level").value = tone.level;
    byId("window-value").textContent = tone.served ? `${width} as served` : width;
    byId("level-value").textContent = level;
  }
}
