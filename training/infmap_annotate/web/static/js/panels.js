/** The candidates side by side, over the same radiograph, which comes first and alone. */

import { gestures } from "./gestures.js";
import { fitCanvas, paintMask, paintRadiograph } from "./picture.js";

export class Panels {
  /**
   * @param element the list that holds them
   * @param template of one
   * @param scene `{ view, windowing }`, read at each use
   * @param pick called with the slot whose button was pressed
   */
  constructor(element, template, scene, pick) {
    Object.assign(this, { element, template, scene, pick });
  }

  get all() {
    return [...this.element.children];
  }

  /** What is shown, in order; 0 is the radiograph alone. */
  get slots() {
    return this.all.map((panel) => Number(panel.dataset.slot));
  }

  /**
   * One panel for each mask.
   *
   * @param masks `[{ slot, path, share }]`
   * @param previous slot that was picked before, or null
   */
  furnish(masks, previous) {
    this.masks = [null, ...masks];
    const slots = [0, ...masks.map((mask) => mask.slot)];
    // The same panels again where they fit: whoever has the focus keeps it.
    if (slots.join() !== this.slots.join()) {
      this.element.replaceChildren(...slots.map((slot) => this.#made(slot)));
    }
    this.all.forEach((panel, place) => {
      const mask = this.masks[place];
      panel.querySelector(".empty").hidden = mask?.share !== 0;
      panel.querySelector(".previous").hidden = !mask || mask.slot !== previous;
      panel.querySelector("canvas").setAttribute("aria-label", labelOf(mask));
    });
    this.choose(null);
  }

  #made(slot) {
    const panel = this.template.content.firstElementChild.cloneNode(true);
    const button = panel.querySelector("button");
    panel.dataset.slot = slot;
    panel.querySelector(".name").textContent = slot || "Radiograph";
    if (slot) {
      button.setAttribute("aria-label", `Pick candidate ${slot}`);
      button.setAttribute("aria-keyshortcuts", slot);
      // The second click of a double click would fall on the next radiograph, unseen.
      button.addEventListener("click", (event) => event.detail < 2 && this.pick(slot));
    } else {
      button.remove();
    }
    gestures(panel.querySelector("canvas"), this.scene, { hover: (at) => this.#pointAt(at, panel) });
    return panel;
  }

  /** The same place in all the other panels. */
  #pointAt(at, from) {
    for (const panel of this.all) {
      const cross = panel.querySelector(".cross");
      cross.hidden = !at || panel === from;
      if (at) cross.style.transform = `translate(${at.x}px, ${at.y}px)`;
    }
  }

  choose(slot) {
    for (const panel of this.all) panel.classList.toggle("chosen", panel.dataset.slot === String(slot));
  }

  /** As many columns as make pictures of this size largest. */
  arrange(width, height) {
    const { element } = this;
    const count = element.children.length;
    const gap = parseFloat(getComputedStyle(element).gap) || 0;
    const head = element.querySelector("header").offsetHeight;
    let best = { scale: -Infinity };
    for (let columns = 1; columns <= count; columns++) {
      const rows = Math.ceil(count / columns);
      const across = (element.clientWidth - gap * (columns - 1)) / columns;
      const down = (element.clientHeight - gap * (rows - 1)) / rows - head;
      const scale = Math.min(across / width, down / height);
      if (scale > best.scale) best = { scale, columns, rows };
    }
    element.style.gridTemplateColumns = `repeat(${best.columns}, minmax(0, 1fr))`;
    element.style.gridTemplateRows = `repeat(${best.rows}, minmax(0, 1fr))`;
    const { clientWidth, clientHeight } = element.querySelector("canvas");
    this.scene.view.resize(clientWidth, clientHeight);
  }

  /** @param style `{ outlined, opacity }` of the masks, or null to leave them away */
  paint(radiograph, style) {
    const { view } = this.scene;
    this.all.forEach((panel, place) => {
      const canvas = panel.querySelector("canvas");
      fitCanvas(canvas, view.panel.width, view.panel.height);
      const context = paintRadiograph(canvas, radiograph, view);
      const mask = this.masks[place];
      if (mask && style) paintMask(context, mask.path, view, style);
    });
  }
}

function labelOf(mask) {
  if (!mask) return "The radiograph alone";
  if (mask.share === 0) return `Candidate ${mask.slot}: nothing marked`;
  return `Candidate ${mask.slot}: ${(100 * mask.share).toFixed(1)} % of the picture marked`;
}
