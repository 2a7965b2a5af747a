/**
 * A mask that is being drawn: 0 or 255 for each pixel of the radiograph, never between, and its history.
 *
 * Places are in pixels of the radiograph, (0, 0) its top left corner: the middle of the first pixel is (0.5, 0.5).
 * A pixel belongs to a shape when its middle lies in it.
 */

const STEPS_KEPT = 200;
export const INSIDE = 255;

export class Mask {
  #past = [];
  #future = [];
  #before = null;
  #box = null;

  /** @param changed called with the box { left, top, right, bottom } of what changed; right and bottom are outside */
  constructor(width, height, changed) {
    this.width = width;
    this.height = height;
    this.changed = changed;
    this.pixels = new Uint8Array(width * height);
    this.origin = 0; // slot of the candidate that it began with
  }

  get isEmpty() {
    return !this.pixels.includes(INSIDE);
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  get canRedo() {
    return this.#future.length > 0;
  }

  // ---- changes: `begin`, any number of strokes, then `commit` or `cancel` ----

  begin() {
    this.#before = { pixels: this.pixels.slice(), origin: this.origin };
    this.#box = null;
  }

  /** One step of the history; false when nothing changed. */
  commit() {
    const [before, box] = [this.#before, this.#box];
    this.#before = null;
    if (!before || !box) return false;
    this.#past.push({ box, pixels: this.#cut(before.pixels, box), origin: before.origin });
    if (this.#past.length > STEPS_KEPT) this.#past.shift();
    this.#future = [];
    return true;
  }

  cancel() {
    if (!this.#before) return;
    this.pixels.set(this.#before.pixels);
    this.#before = null;
    if (this.#box) this.changed(this.#box);
  }

  undo() {
    this.#travel(this.#past, this.#future);
  }

  redo() {
    this.#travel(this.#future, this.#past);
  }

  #travel(from, to) {
    const step = from.pop();
    if (!step) return;
    const { box } = step;
    to.push({ box, pixels: this.#cut(this.pixels, box), origin: this.origin });
    const across = box.right - box.left;
    for (let y = box.top; y < box.bottom; y++) {
      const row = (y - box.top) * across;
      this.pixels.set(step.pixels.subarray(row, row + across), y * this.width + box.left);
    }
    this.origin = step.origin;
    this.changed(box);
  }

  #cut(pixels, { left, top, right, bottom }) {
    const piece = new Uint8Array((right - left) * (bottom - top));
    for (let y = top; y < bottom; y++) {
      piece.set(pixels.subarray(y * this.width + left, y * this.width + right), (y - top) * (right - left));
    }
    return piece;
  }

  #touch(left, top, right, bottom) {
    const box = this.#box;
    this.#box = box
      ? { left: Math.min(box.left, left), top: Math.min(box.top, top),
          right: Math.max(box.right, right), bottom: Math.max(box.bottom, bottom) }
      : { left, top, right, bottom };
    this.changed({ left, top, right, bottom });
  }

  // ---- shapes ----

  /** A straight stroke of a round brush; `value` is 0 or 255. */
  stroke(from, to, diameter, value) {
    if (diameter <= 1) this.#thinLine(from, to, value);
    else this.#thickLine(from, to, diameter / 2, value);
  }

  #thickLine(from, to, radius, value) {
    const clip = (low, high, whole) => [
      Math.max(0, Math.floor(low - radius)), Math.min(whole, Math.ceil(high + radius)),
    ];
    const [left, right] = clip(Math.min(from.x, to.x), Math.max(from.x, to.x), this.width);
    const [top, bottom] = clip(Math.min(from.y, to.y), Math.max(from.y, to.y), this.height);
    if (left >= right || top >= bottom) return;
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    const length2 = dx * dx + dy * dy;
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++) {
        const [px, py] = [x + 0.5 - from.x, y + 0.5 - from.y];
        const along = length2 ? Math.min(1, Math.max(0, (px * dx + py * dy) / length2)) : 0;
        const [ox, oy] = [px - along * dx, py - along * dy];
        if (ox * ox + oy * oy <= radius * radius) this.pixels[y * this.width + x] = value;
      }
    }
    this.#touch(left, top, right, bottom);
  }

  /** One pixel wide, without gaps: no pixel's middle need lie under so thin a brush. */
  #thinLine(from, to, value) {
    const steps = Math.max(1, Math.ceil(2 * Math.max(Math.abs(to.x - from.x), Math.abs(to.y - from.y))));
    for (let step = 0; step <= steps; step++) {
      const x = Math.floor(from.x + ((to.x - from.x) * step) / steps);
      const y = Math.floor(from.y + ((to.y - from.y) * step) / steps);
      if (x < 0 || y < 0 || x >= this.width || y >= this.height) continue;
      this.pixels[y * this.width + x] = value;
      this.#touch(x, y, x + 1, y + 1);
    }
  }

  /** The inside of a closed line through `points`; where it crosses itself, what an odd number of its turns enclose. */
  polygon(points, value) {
    const rows = points.map((point) => point.y);
    const top = Math.max(0, Math.floor(Math.min(...rows)));
    const bottom = Math.min(this.height, Math.ceil(Math.max(...rows)));
    if (top >= bottom) return;
    for (let y = top; y < bottom; y++) {
      const crossings = crossingsOf(points, y + 0.5);
      for (let i = 0; i + 1 < crossings.length; i += 2) {
        const left = Math.max(0, Math.ceil(crossings[i] - 0.5));
        const right = Math.min(this.width, Math.ceil(crossings[i + 1] - 0.5));
        if (left < right) this.pixels.fill(value, y * this.width + left, y * this.width + right);
      }
    }
    this.#touch(0, top, this.width, bottom);
  }

  /**
   * The whole region around a place, up to where the mask changes.
   *
   * @returns false, and changes nothing, where an unmarked region is open to the picture's edge
   */
  fill({ x, y }, value) {
    const { width, height, pixels } = this;
    const start = Math.floor(y) * width + Math.floor(x);
    if (x < 0 || y < 0 || x >= width || y >= height || pixels[start] === value) return true;
    const region = [start];
    const met = new Uint8Array(pixels.length);
    met[start] = 1;
    let open = false;
    for (let i = 0; i < region.length; i++) {
      const at = region[i];
      const column = at % width;
      if (column === 0 || column === width - 1 || at < width || at >= pixels.length - width) open = true;
      if (column > 0) meet(at - 1);
      if (column < width - 1) meet(at + 1);
      if (at >= width) meet(at - width);
      if (at < pixels.length - width) meet(at + width);
    }
    if (open && value === INSIDE) return false;
    for (const at of region) pixels[at] = value;
    this.#touch(0, 0, width, height);
    return true;

    function meet(next) {
      if (met[next] || pixels[next] === value) return;
      met[next] = 1;
      region.push(next);
    }
  }

  /** Other pixels instead; `origin` is the slot that they come from. */
  replace(pixels, origin) {
    this.pixels.set(pixels);
    this.origin = origin;
    this.#touch(0, 0, this.width, this.height);
  }
}

function crossingsOf(points, y) {
  const crossings = [];
  points.forEach((one, i) => {
    const other = points[(i + 1) % points.length];
    if (one.y <= y === other.y <= y) return;
    crossings.push(one.x + ((y - one.y) / (other.y - one.y)) * (other.x - one.x));
  });
  return crossings.sort((a, b) => a - b);
}
