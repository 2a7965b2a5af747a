/** Window and level: from a radiograph's values to grays. Until they are moved, what the model was shown. */

const STEPS = 256;

export class Tone {
  /**
   * @param top largest value
   * @param steps null, or 255 values from which on a pixel has level 1, 2, ... (see `tone` in the result's JSON)
   * @param units `{ offset, slope }`: what a value is called
   */
  constructor(top, steps, units, changed) {
    this.top = top;
    this.steps = steps;
    this.units = units;
    this.changed = changed;
    this.version = 0;
    this.colours = new Uint32Array(2 ** 16);
    this.reset();
  }

  /** Width of the window and its level in 256ths of the values' range: the sliders' and the mouse's steps. */
  set({ width = this.width, level = this.level }) {
    this.width = Math.min(Math.max(width, 1), 2 * STEPS);
    this.level = Math.min(Math.max(level, 0), STEPS);
    this.served = false;
    this.#fill();
  }

  /** As the model was shown it. */
  reset() {
    const [low, high] = this.steps ? [this.steps[0], Math.min(this.steps.at(-1), this.top + 1)] : [0, this.top + 1];
    this.width = Math.max(((high - low) * STEPS) / (this.top + 1), 1);
    this.level = ((high + low) * STEPS) / (2 * (this.top + 1));
    this.served = true;
    this.#fill();
  }

  /** Width and level in the values that the file speaks of. */
  get stated() {
    const unit = (this.top + 1) / STEPS;
    const { offset, slope } = this.units;
    return {
      width: Math.round(this.width * unit * Math.abs(slope)),
      level: Math.round(offset + slope * this.level * unit),
    };
  }

  #fill() {
    const shown = this.served ? this.#served() : this.#linear();
    const word = new Uint32Array(1);
    const bytes = new Uint8Array(word.buffer);
    for (let value = 0; value <= this.top; value++) {
      // R, G and B are alike and alpha is whole: the same however the machine orders bytes.
      bytes.fill(shown(value));
      bytes[3] = 255;
      this.colours[value] = word[0];
    }
    this.version += 1;
    this.changed();
  }

  #served() {
    const { steps } = this;
    if (!steps) return (value) => value;
    let gray = 0;
    return (value) => {
      while (gray < 255 && value >= steps[gray]) gray += 1;
      return gray;
    };
  }

  /** DICOM's linear function (PS3.3, C.11.2.1.3.2: LINEAR_EXACT), black and white beyond its ends. */
  #linear() {
    const unit = (this.top + 1) / STEPS;
    const [width, dark] = [this.width * unit, (this.level - this.width / 2) * unit];
    return (value) => Math.min(Math.max(Math.round(((value - dark) * 256) / width), 0), 255);
  }
}
