/** The map's colours over what is shown of a radiograph: a pixel of theirs for each of its, as the server paints. */

import { stepOf } from "./probability.js";

const LEVELS_PER_STEP = 255 / 65535;

export class Paint {
  /**
   * @param probability what is painted
   * @param overlay `{ operation, colours, in_lungs }`: how colours are laid over the gray, [red, green, blue, alpha] of
   *   each of 256 levels of probability, and whether nothing is painted outside the lungs
   */
  constructor(probability, { operation, colours, in_lungs: inLungs }) {
    this.probability = probability;
    this.operation = operation;
    this.words = Uint32Array.from(colours, (colour) => new Uint32Array(Uint8Array.from(colour).buffer)[0]);
    // Where no lung was found, the map is painted everywhere.
    this.inside = inLungs && probability.ofLungs ? probability.lungs.values : null;
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("2d");
    this.shown = "";
  }

  /** Draw over a region of the radiograph (`Radiograph.region`); from a threshold on, where one is given. */
  draw(context, region, from = 0) {
    const { level, left, top, width, height, across, down } = region;
    const wanted = [level.width, left, top, width, height, from].join();
    if (wanted !== this.shown) this.#paint(region, from);
    this.shown = wanted;
    context.globalCompositeOperation = this.operation;
    context.drawImage(this.canvas, 0, 0, width, height, left * across, top * down, width * across, height * down);
    context.globalCompositeOperation = "source-over";
  }

  #paint({ level, left, top, width, height }, from) {
    if (this.canvas.width < width || this.canvas.height < height) {
      this.canvas.width = Math.max(this.canvas.width, width);
      this.canvas.height = Math.max(this.canvas.height, height);
    }
    const image = this.context.createImageData(width, height);
    const words = new Uint32Array(image.data.buffer);
    const { words: colours, probability } = this;
    const { first, second, part } = places(left, width, level.width, probability.width);
    const rows = places(top, height, level.height, probability.height);
    const steps = new Rows(probability.values, probability.width);
    const lungs = this.inside && new Rows(this.inside, probability.width);
    const between = (field, column) => (
      field[first[column]] + (field[second[column]] - field[first[column]]) * part[column]
    );
    const least = from > 0 ? stepOf(from) - 0.5 : 0; // as the contour: between the steps
    for (let row = 0, to = 0; row < height; row++) {
      const step = steps.at(rows, row);
      const lung = lungs?.at(rows, row);
      for (let column = 0; column < width; column++, to++) {
        const value = between(step, column);
        const isInside = !lung || 2 * between(lung, column) >= 255;
        words[to] = colours[isInside && value >= least ? Math.floor(value * LEVELS_PER_STEP) : 0];
      }
    }
    this.context.putImageData(image, 0, 0);
  }
}

/** A field's rows between rows, by the places of `places`. */
class Rows {
  constructor(values, width) {
    Object.assign(this, { values, width, row: new Float64Array(width) });
  }

  at({ first, second, part }, place) {
    const { values, width, row } = this;
    const [upper, lower, below] = [first[place] * width, second[place] * width, part[place]];
    for (let i = 0; i < width; i++) row[i] = values[upper + i] + (values[lower + i] - values[upper + i]) * below;
    return row;
  }
}

/** Bilinear with half-pixel centres: between which of a field's pixels those of a picture lie, and where between. */
function places(start, count, size, fieldSize) {
  const [first, second, part] = [new Uint16Array(count), new Uint16Array(count), new Float64Array(count)];
  for (let i = 0; i < count; i++) {
    const place = Math.min(Math.max(((start + i + 0.5) * fieldSize) / size - 0.5, 0), fieldSize - 1);
    first[i] = Math.min(Math.floor(place), Math.max(fieldSize - 2, 0));
    second[i] = Math.min(first[i] + 1, fieldSize - 1);
    part[i] = place - first[i];
  }
  return { first, second, part };
}
