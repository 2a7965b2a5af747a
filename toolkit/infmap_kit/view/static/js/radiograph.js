/** A radiograph in all its bits, and halved again and again, so that what is shown costs what the screen has. */

const SMALLEST = 128;

export class Radiograph {
  /** @param gray `{ width, height, values }` as `grayOf` gives it */
  constructor(gray) {
    this.width = gray.width;
    this.height = gray.height;
    this.levels = [gray];
    while (Math.min(this.levels.at(-1).width, this.levels.at(-1).height) >= 2 * SMALLEST) {
      this.levels.push(halved(this.levels.at(-1)));
    }
    let top = 0;
    for (const value of gray.values) if (value > top) top = value;
    this.top = gray.values instanceof Uint8Array ? 255 : Math.max(top, 1);
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.shown = "";
  }

  /**
   * What a view shows of it, in pixels of the halving that has about the screen's.
   *
   * @param box `{ left, top, right, bottom }` in the radiograph's pixels
   * @param scale screen pixels for one pixel
   * @returns null where nothing of it is shown
   */
  region(box, scale) {
    const number = Math.min(Math.max(Math.round(Math.log2(1 / scale)), 0), this.levels.length - 1);
    const level = this.levels[number];
    const across = this.width / level.width;
    const down = this.height / level.height;
    const left = Math.max(0, Math.floor(box.left / across) - 1);
    const top = Math.max(0, Math.floor(box.top / down) - 1);
    const width = Math.min(level.width, Math.ceil(box.right / across) + 1) - left;
    const height = Math.min(level.height, Math.ceil(box.bottom / down) + 1) - top;
    return width <= 0 || height <= 0 ? null : { level, left, top, width, height, across, down };
  }

  /** Draw a region into a context in the radiograph's pixels. */
  draw(context, region, tone) {
    const { level, left, top, width, height, across, down } = region;
    const wanted = [level.width, left, top, width, height, tone.version].join();
    if (wanted !== this.shown) this.#tone(region, tone);
    this.shown = wanted;
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "low";
    context.drawImage(this.canvas, 0, 0, width, height, left * across, top * down, width * across, height * down);
  }

  #tone({ level, left, top, width, height }, tone) {
    if (this.canvas.width < width || this.canvas.height < height) {
      this.canvas.width = Math.max(this.canvas.width, width);
      this.canvas.height = Math.max(this.canvas.height, height);
    }
    const image = this.context.createImageData(width, height);
    const words = new Uint32Array(image.data.buffer);
    const { colours } = tone;
    const { values } = level;
    for (let row = 0, to = 0; row < height; row++) {
      let from = (top + row) * level.width + left;
      for (let column = 0; column < width; column++) words[to++] = colours[values[from++]];
    }
    this.context.putImageData(image, 0, 0);
  }
}

/** Means of two by two pixels; an odd last row or column falls away. */
function halved({ width, height, values }) {
  const [across, down] = [width >> 1, height >> 1];
  const means = new values.constructor(across * down);
  for (let row = 0, to = 0; row < down; row++) {
    let from = 2 * row * width;
    for (let column = 0; column < across; column++, from += 2) {
      means[to++] = (values[from] + values[from + 1] + values[from + width] + values[from + width + 1] + 2) >> 2;
    }
  }
  return { width: across, height: down, values: means };
}
