/** The drawn mask as a picture of the radiograph's size, repainted only where it changed. */

import { MARK } from "./picture.js";

const LINE_PX = 1.8; // on the screen
const SHADE = 140; // of the dark rim outside the line, out of 255
const PIXELS_SEEN = 3; // from this scale on pixels are looked at one by one: no rim over their neighbours

export class Overlay {
  #outlined = false;
  #line = 1; // how many of the radiograph's pixels make a line that can be seen
  #rim = false;

  constructor(mask) {
    this.mask = mask;
    this.canvas = new OffscreenCanvas(mask.width, mask.height);
    this.context = this.canvas.getContext("2d");
  }

  /** Show it as an outline or whole, at a scale of `scale` screen pixels for one of the radiograph. */
  show(outlined, scale) {
    const line = Math.max(1, Math.round(LINE_PX / scale));
    const rim = scale < PIXELS_SEEN;
    const same = outlined === this.#outlined && line === this.#line && rim === this.#rim;
    if (same) return;
    [this.#outlined, this.#line, this.#rim] = [outlined, line, rim];
    const { width, height } = this.mask;
    this.update({ left: 0, top: 0, right: width, bottom: height });
  }

  /** Bring a box up to date. */
  update({ left, top, right, bottom }) {
    const { width, height, pixels } = this.mask;
    // What a pixel is shown as depends on those around it.
    [left, top] = [Math.max(0, left - this.#line), Math.max(0, top - this.#line)];
    [right, bottom] = [Math.min(width, right + this.#line), Math.min(height, bottom + this.#line)];
    const image = this.context.createImageData(right - left, bottom - top);
    let to = 0;
    for (let y = top; y < bottom; y++) {
      for (let x = left; x < right; x++, to += 4) {
        const inside = pixels[y * width + x];
        if (this.#outlined ? !this.#atBorder(x, y, inside) : !inside) continue;
        if (inside) image.data.set(MARK, to);
        else if (!this.#rim) continue;
        image.data[to + 3] = inside ? 255 : SHADE;
      }
    }
    this.context.putImageData(image, left, top);
  }

  /** Whether the mask's border is near: what lies outside the picture is outside the mask. */
  #atBorder(x, y, inside) {
    const { width, height, pixels } = this.mask;
    const differs = (x, y) => (x >= 0 && y >= 0 && x < width && y < height ? pixels[y * width + x] : 0) !== inside;
    for (let away = 1; away <= this.#line; away++) {
      if (differs(x - away, y) || differs(x + away, y) || differs(x, y - away) || differs(x, y + away)) return true;
    }
    return false;
  }

  /** Onto a context that is in the radiograph's pixels. */
  paint(context, scale, opacity) {
    context.globalAlpha = opacity;
    context.imageSmoothingEnabled = scale < 1; // enlarged, each pixel is to be seen as it is
    context.drawImage(this.canvas, 0, 0);
    context.globalAlpha = 1;
  }
}
