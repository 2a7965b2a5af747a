/** Which tool is in the hand, and how it is set: the buttons beside the picture, and the brush's ring over it. */

const SIZES = [1, 2, 3, 4, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50, 64, 80, 100, 128, 160, 200];
const SMALLEST_RING = 3; // screen pixels

const byId = (id) => document.getElementById(id);

export const TOOLS = ["brush", "eraser", "polygon", "fill"];

export class Toolbox {
  tool = "brush";
  removing = false; // polygon and fill
  pressure = false; // of a pen, on the brush's size
  panning = false; // Space is held
  #pointer = null; // in the panel

  /**
   * @param view a `View`
   * @param diameter of the brush, in pixels of the radiograph
   * @param changed called before another tool is taken
   */
  constructor(view, diameter, changed) {
    Object.assign(this, { view, changed });
    for (const tool of TOOLS) byId(tool).addEventListener("click", () => this.take(tool));
    byId("remove").addEventListener("click", () => this.remove(!this.removing));
    byId("size").addEventListener("input", ({ target }) => this.resize(Number(target.value)));
    byId("pressure").addEventListener("change", ({ target }) => {
      this.pressure = target.checked;
    });
    this.take("brush");
    this.resize(diameter);
  }

  take(tool) {
    if (tool !== this.tool) this.changed();
    this.tool = tool;
    for (const name of TOOLS) byId(name).setAttribute("aria-pressed", String(name === tool));
    byId("remove").disabled = !["polygon", "fill"].includes(tool);
    this.showRing();
  }

  resize(diameter) {
    this.diameter = Math.min(Math.max(Math.round(diameter), SIZES[0]), SIZES.at(-1));
    byId("size").value = this.diameter;
    byId("size-value").textContent = `${this.diameter} px`;
    this.showRing();
  }

  grow() {
    this.resize(SIZES.find((size) => size > this.diameter) ?? this.diameter);
  }

  shrink() {
    this.resize(SIZES.findLast((size) => size < this.diameter) ?? this.diameter);
  }

  remove(on) {
    this.removing = on;
    byId("remove").setAttribute("aria-pressed", String(on));
  }

  pan(on) {
    this.panning = on;
    this.showRing();
  }

  /** @param at place of the pointer in the panel, or null */
  pointAt(at) {
    this.#pointer = at;
    this.showRing();
  }

  /** The brush's size, around the pointer. */
  showRing() {
    const ring = byId("ring");
    ring.hidden = !this.#pointer || this.panning || !["brush", "eraser"].includes(this.tool);
    if (ring.hidden) return;
    const across = Math.max(SMALLEST_RING, this.diameter * this.view.scale);
    const { x, y } = this.#pointer;
    ring.style.width = ring.style.height = `${across}px`;
    ring.style.transform = `translate(${x - across / 2}px, ${y - across / 2}px)`;
  }
}
