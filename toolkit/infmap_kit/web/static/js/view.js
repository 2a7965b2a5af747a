/** What all panels share: zoom and position, window and level. */

const CLOSEST = 48; // screen pixels for one pixel of the radiograph

/** Zoom and position, the same for every panel; all panels are of one size. */
export class View {
  /** @param changed called after every change */
  constructor(width, height, changed) {
    this.width = width;
    this.height = height;
    this.changed = changed;
    this.panel = { width: 1, height: 1 };
    this.zoom = 1;
    this.x = width / 2;
    this.y = height / 2;
  }

  /** Size of a panel, in CSS pixels. */
  resize(width, height) {
    this.panel = { width: Math.max(1, width), height: Math.max(1, height) };
    this.#settle();
  }

  /** Screen pixels for one pixel of the radiograph. */
  get scale() {
    return this.zoom * this.#fit;
  }

  get #fit() {
    return Math.min(this.panel.width / this.width, this.panel.height / this.height);
  }

  /** Where the radiograph's top left corner lies in a panel. */
  get origin() {
    return {
      x: this.panel.width / 2 - this.x * this.scale,
      y: this.panel.height / 2 - this.y * this.scale,
    };
  }

  /** A place in a panel, in pixels of the radiograph. */
  toImage(x, y) {
    const { origin, scale } = this;
    return { x: (x - origin.x) / scale, y: (y - origin.y) / scale };
  }

  /** A place of the radiograph, in CSS pixels of a panel. */
  toPanel(x, y) {
    const { origin, scale } = this;
    return { x: origin.x + x * scale, y: origin.y + y * scale };
  }

  pan(dx, dy) {
    this.x -= dx / this.scale;
    this.y -= dy / this.scale;
    this.#settle();
  }

  /** Zoom; what lies at (x, y) of the panel stays there. */
  zoomBy(factor, x = this.panel.width / 2, y = this.panel.height / 2) {
    const fixed = this.toImage(x, y);
    this.zoom = Math.min(Math.max(this.zoom * factor, 1), Math.max(1, CLOSEST / this.#fit));
    const moved = this.toImage(x, y);
    this.x += fixed.x - moved.x;
    this.y += fixed.y - moved.y;
    this.#settle();
  }

  reset() {
    this.zoom = 1;
    this.#settle();
  }

  get state() {
    return { zoom: this.zoom, x: this.x, y: this.y };
  }

  restore({ zoom, x, y }) {
    Object.assign(this, { zoom, x, y });
    this.#settle();
  }

  /** No black where there could be picture: what is larger than the panel fills it, the rest is centred. */
  #settle() {
    const half = (panel, whole) => Math.min(panel / (2 * this.scale), whole / 2);
    const within = (value, margin, whole) => Math.min(Math.max(value, margin), whole - margin);
    this.x = within(this.x, half(this.panel.width, this.width), this.width);
    this.y = within(this.y, half(this.panel.height, this.height), this.height);
    this.changed();
  }
}

const WHOLE = { width: 256, level: 128 };
const LIMITS = { width: [2, 512], level: [0, 255] };

/** Window (width) and level (centre), in the 256 grays of the picture. */
export class Windowing {
  constructor(changed) {
    this.changed = changed;
    Object.assign(this, WHOLE);
  }

  set({ width = this.width, level = this.level }) {
    const within = (value, [least, most]) => Math.min(Math.max(Math.round(value), least), most);
    this.width = within(width, LIMITS.width);
    this.level = within(level, LIMITS.level);
    this.changed();
  }

  reset() {
    this.set(WHOLE);
  }

  get state() {
    return { width: this.width, level: this.level };
  }

  /** What each of the 256 grays is shown as. */
  table() {
    const dark = this.level - this.width / 2;
    const shown = new Uint8ClampedArray(256); // clamps and rounds
    for (let gray = 0; gray < 256; gray++) shown[gray] = ((gray - dark) * 256) / this.width;
    return shown;
  }
}
