/** A radiograph on a canvas: windowed, its map from the divider on, contour, lungs, and the scale. */

import { contourOf } from "./contour.js";
import { gestures } from "./gestures.js";
import { stepOf } from "./probability.js";
import { scaleOf } from "./scale.js";
import { Tone } from "./tone.js";
import { View } from "./view.js";

const CONTOUR = "#ffd23f"; // yellow stands out from every gray and for every kind of colour vision
const LUNGS = "#7fd4ff";
const RIM = "rgb(0 0 0 / 60%)";

export class Pane {
  /**
   * @param figure element with a canvas and a caption
   * @param look what all panes share: `{ divider, opacity, threshold, painted, contour, lungs, above }`
   * @param moved called with this pane when its view changed
   * @param windowed called with this pane when its window changed
   */
  constructor(figure, look, { moved, windowed }) {
    this.figure = figure;
    this.canvas = figure.querySelector("canvas");
    this.caption = figure.querySelector("figcaption");
    this.bar = figure.querySelector(".scale");
    this.sides = figure.querySelector(".sides");
    this.look = look;
    this.moved = moved;
    this.windowed = windowed;
    this.study = null;
    this.view = new View(1, 1, () => {});
    this.tone = new Tone(255, null, { offset: 0, slope: 1 }, () => {});
    new ResizeObserver(() => this.#fit()).observe(this.canvas.parentElement);
    const pane = this;
    gestures(this.canvas, { get view() { return pane.view; }, get windowing() { return pane.tone; } });
  }

  show(study) {
    this.study = study;
    this.contour = null;
    this.lungs = null;
    if (!study?.size) return this.redraw();
    const { result, radiograph, size, probability } = study;
    const units = { offset: result.offset, slope: result.slope };
    this.tone = new Tone(radiograph?.top ?? 255, result.tone, units, () => this.#windowed());
    this.view = new View(size.width, size.height, () => this.#moved());
    if (probability?.lungs) this.lungs = contourOf(probability.lungs, 128, size);
    this.#fit();
  }

  #fit() {
    const box = this.canvas.parentElement.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.max(1, Math.round(box.width * ratio));
    this.canvas.height = Math.max(1, Math.round(box.height * ratio));
    this.view.resize(box.width, box.height);
    this.redraw();
  }

  #moved() {
    this.redraw();
    this.moved(this);
  }

  #windowed() {
    this.redraw();
    this.windowed(this);
  }

  /** Draw at the next frame, however often it is asked for until then. */
  redraw() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      const start = performance.now();
      this.#draw();
      performance.clearMeasures("frame");
      performance.measure("frame", { start, end: performance.now() });
    });
  }

  #draw() {
    const { canvas, view, look, study } = this;
    const context = canvas.getContext("2d", { alpha: false });
    const ratio = canvas.width / view.panel.width;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    this.bar.hidden = !study?.size;
    this.sides.hidden = !study?.size || !study.result.sides_stated;
    if (!study?.size) return;
    const { origin, scale } = view;
    context.setTransform(scale * ratio, 0, 0, scale * ratio, origin.x * ratio, origin.y * ratio);
    const least = view.toImage(0, 0);
    const most = view.toImage(view.panel.width, view.panel.height);
    const box = { left: least.x, top: least.y, right: most.x, bottom: most.y };
    const region = study.radiograph?.region(box, scale * ratio);
    if (region) study.radiograph.draw(context, region, this.tone);
    else if (study.map) context.drawImage(study.map, 0, 0);
    const divider = view.toImage(look.divider * view.panel.width, 0).x;
    if (study.probability) this.#drawMap(context, region, divider);
    if (look.lungs && this.lungs) this.#stroke(context, this.lungs, LUNGS, [6, 4]);
    if (study.radiograph && look.divider > 0 && look.divider < 1) this.#drawDivider(context, ratio);
    this.#drawScale();
  }

  /** From the divider on, the map as the server painted it, or as much of it as the opacity says; and the contour. */
  #drawMap(context, region, divider) {
    const { look, study } = this;
    const { probability, size } = study;
    context.save();
    context.beginPath();
    context.rect(divider, 0, Math.max(size.width - divider, 0), size.height);
    context.clip();
    if (look.painted && region) {
      context.globalAlpha = look.opacity;
      study.paint.draw(context, region, look.above ? look.threshold : 0);
      context.globalAlpha = 1;
    }
    if (look.contour) this.#stroke(context, this.#contour(probability, size), CONTOUR);
    context.restore();
  }

  #contour(probability, size) {
    if (this.contour?.threshold !== this.look.threshold) {
      const { threshold } = this.look;
      this.contour = { threshold, path: contourOf(probability, stepOf(threshold), size) };
    }
    return this.contour.path;
  }

  #stroke(context, path, colour, dash = []) {
    context.lineJoin = "round";
    const { scale } = this.view;
    context.setLineDash(dash.map((length) => length / scale));
    for (const [style, width] of [[RIM, 3.6], [colour, 1.8]]) {
      context.strokeStyle = style;
      context.lineWidth = width / scale;
      context.stroke(path);
    }
    context.setLineDash([]);
  }

  #drawDivider(context, ratio) {
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const x = Math.round(this.look.divider * this.view.panel.width);
    context.fillStyle = "rgb(0 0 0 / 60%)";
    context.fillRect(x - 1.5, 0, 3, this.view.panel.height);
    context.fillStyle = "#ffffff";
    context.fillRect(x - 0.5, 0, 1, this.view.panel.height);
  }

  #drawScale() {
    const { result, size } = this.study;
    // The map alone may have been made smaller than the radiograph.
    const spacing = size.width === result.width ? result.spacing_mm : null;
    const { length, text } = scaleOf(spacing, this.view.scale);
    this.bar.querySelector("i").style.width = `${length}px`;
    this.bar.querySelector("span").textContent = text;
  }
}
