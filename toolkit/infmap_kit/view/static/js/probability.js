/** The probabilities of a result: severity at any threshold, and the map's colours. */

const MOST = 65535;
const FINER = 4; // the map is painted so many times finer than the network's picture

/** The first step that reaches a threshold. At 0.5 exactly what the model counted: see `PROBABILITY_STEPS`. */
export const stepOf = (threshold) => Math.round(threshold * MOST);

export class Probability {
  /**
   * @param steps `{ width, height, values }` of 16 bits
   * @param lungs the same of 8 bits, or null
   * @param table 256 colours, [red, green, blue] each
   */
  constructor(steps, lungs, table) {
    Object.assign(this, steps);
    this.lungs = lungs;
    this.fine = finer(steps);
    this.colours = Uint32Array.from(table, ([red, green, blue]) => wordOf(red, green, blue));
    this.canvas = document.createElement("canvas");
    this.canvas.width = this.width * FINER;
    this.canvas.height = this.height * FINER;
    this.context = this.canvas.getContext("2d");
    this.image = this.context.createImageData(this.canvas.width, this.canvas.height);
    this.painted = NaN;
    let top = 0;
    for (const value of this.values) if (value > top) top = value;
    this.highest = top / MOST;
    this.ofLungs = Boolean(lungs && lungs.values.some((value) => value > 0));
  }

  /** Pixels that reach a threshold, in percent of the lungs, or of the picture where none are known. */
  severity(threshold) {
    const least = stepOf(threshold);
    const { values } = this;
    const inside = this.ofLungs ? this.lungs.values : null;
    let [area, affected] = [0, 0];
    for (let i = 0; i < values.length; i++) {
      if (inside && !inside[i]) continue;
      area += 1;
      if (values[i] >= least) affected += 1;
    }
    return (100 * affected) / area;
  }

  /** Whether any pixel reaches a threshold, wherever it lies. */
  reaches(threshold) {
    const least = stepOf(threshold);
    return this.values.some((value) => value >= least);
  }

  /** Paint the map's colours, to be multiplied with the radiograph; from a threshold on, where one is given. */
  paint(from = 0) {
    if (from === this.painted) return this.canvas;
    const least = from > 0 ? stepOf(from) : 0;
    const words = new Uint32Array(this.image.data.buffer);
    const { fine, colours } = this;
    for (let i = 0; i < fine.length; i++) words[i] = colours[fine[i] >= least ? Math.floor((fine[i] * 255) / MOST) : 0];
    this.context.putImageData(this.image, 0, 0);
    this.painted = from;
    return this.canvas;
  }
}

function wordOf(red, green, blue) {
  return new Uint32Array(new Uint8Array([red, green, blue, 255]).buffer)[0];
}

/** Bilinear with half-pixel centres, as the server brings the probabilities to the radiograph's size. */
function finer({ width, height, values }) {
  const [across, down] = [width * FINER, height * FINER];
  const fine = new Uint16Array(across * down);
  const places = (count, size) => Array.from({ length: count }, (_, i) => {
    const place = Math.min(Math.max((i + 0.5) / FINER - 0.5, 0), size - 1);
    const first = Math.min(Math.floor(place), Math.max(size - 2, 0));
    return [first, Math.min(first + 1, size - 1), place - first];
  });
  const columns = places(across, width);
  let to = 0;
  for (const [upper, lower, below] of places(down, height)) {
    for (const [left, right, aside] of columns) {
      const above = values[upper * width + left] * (1 - aside) + values[upper * width + right] * aside;
      const under = values[lower * width + left] * (1 - aside) + values[lower * width + right] * aside;
      fine[to++] = Math.round(above * (1 - below) + under * below);
    }
  }
  return fine;
}
