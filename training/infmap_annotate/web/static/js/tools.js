/** Brush, eraser, polygon and fill: what a pointer on the picture does to the mask. */

import { INSIDE } from "./mask.js";
import { say } from "./notice.js";

const ERASER_BUTTON = 32; // of a pen, in `buttons`
const CLOSE_PX = 12; // screen pixels around the first corner that close a polygon
const DOUBLE_PX = 5; // around the last one: a double click
const LASSO_PX = 4; // a drag sets a corner so often

/**
 * @param scene `{ view, mask, redraw }`
 * @param toolbox `{ tool, diameter, removing, pressure, panning }`, read at each use
 * @param committed called after every step of the history
 */
export class Hand {
  corners = []; // of the polygon that is being drawn, in pixels of the radiograph
  #last = null;
  #value = INSIDE;

  constructor(scene, toolbox, committed) {
    Object.assign(this, { scene, toolbox, committed });
  }

  start(at, event) {
    if (this.toolbox.panning) return false;
    this.#cornersBefore = this.corners.length;
    const place = this.scene.view.toImage(at.x, at.y);
    const erases = this.toolbox.tool === "eraser" || Boolean(event.buttons & ERASER_BUTTON);
    const removes = erases || (this.toolbox.tool !== "brush" && this.toolbox.removing);
    this.#value = removes ? 0 : INSIDE;
    if (this.toolbox.tool === "fill") this.#fill(place);
    else if (this.toolbox.tool === "polygon") this.#corner(at, place);
    else {
      this.scene.mask.begin();
      this.#last = place;
      this.scene.mask.stroke(place, place, this.#diameter(event), this.#value);
    }
    return true;
  }

  move(at, event) {
    const place = this.scene.view.toImage(at.x, at.y);
    if (this.toolbox.tool === "polygon") this.#lasso(place);
    else if (this.#last) {
      this.scene.mask.stroke(this.#last, place, this.#diameter(event), this.#value);
      this.#last = place;
    }
  }

  end(at) {
    if (this.#last) {
      this.#last = null;
      if (this.scene.mask.commit()) this.committed();
    } else if (this.toolbox.tool === "polygon" && this.#dragged) {
      this.#dragged = false;
      if (this.#isNear(at, this.corners[0], CLOSE_PX)) this.close();
    }
  }

  /** A second finger came: it was no stroke, it is a pinch. */
  cancel() {
    if (this.#last) this.scene.mask.cancel();
    this.#last = null;
    this.corners.length = Math.min(this.corners.length, this.#cornersBefore);
    this.scene.redraw();
  }

  // ---- polygon ----

  #dragged = false;
  #cornersBefore = 0;

  #corner(at, place) {
    this.#dragged = false;
    // On the first corner, or twice on the last.
    if (this.#isNear(at, this.corners[0], CLOSE_PX) || this.#isNear(at, this.corners.at(-1), DOUBLE_PX)) {
      this.close();
      return;
    }
    this.corners.push(place);
    this.scene.redraw();
  }

  #lasso(place) {
    const last = this.corners.at(-1);
    if (!last) return;
    const away = Math.hypot(place.x - last.x, place.y - last.y) * this.scene.view.scale;
    if (away < LASSO_PX) return;
    this.#dragged = true;
    this.corners.push(place);
    this.scene.redraw();
  }

  #isNear(at, corner, distance) {
    if (this.corners.length < 3) return false;
    const { x, y } = this.scene.view.toPanel(corner.x, corner.y);
    return Math.hypot(x - at.x, y - at.y) <= distance;
  }

  close() {
    const { corners } = this;
    this.corners = [];
    if (corners.length > 2) {
      this.scene.mask.begin();
      this.scene.mask.polygon(corners, this.toolbox.removing ? 0 : INSIDE);
      if (this.scene.mask.commit()) this.committed();
    }
    this.scene.redraw();
  }

  abandon() {
    this.corners = [];
    this.scene.redraw();
  }

  dropCorner() {
    this.corners.pop();
    this.scene.redraw();
  }

  // ---- fill and brush ----

  #fill(place) {
    const { mask } = this.scene;
    mask.begin();
    if (!mask.fill(place, this.#value)) say("Not filled: this area is not enclosed.");
    if (mask.commit()) this.committed();
  }

  #diameter(event) {
    const { diameter, pressure } = this.toolbox;
    if (!pressure || event.pointerType !== "pen") return diameter;
    return Math.max(1, Math.round(diameter * (0.4 + 1.2 * event.pressure))); // whole at a middling pressure
  }
}
