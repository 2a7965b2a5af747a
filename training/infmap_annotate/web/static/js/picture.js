/** Painting: one radiograph, windowed once, under every panel's mask. */

/** A radiograph on a canvas of its own size. */
export class Radiograph {
  /** @param gray (height * width) bytes */
  constructor(gray, width, height) {
    this.gray = gray;
    this.canvas = new OffscreenCanvas(width, height);
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.image = this.context.createImageData(width, height);
    this.words = new Uint32Array(this.image.data.buffer);
  }

  /** @param table what each gray is shown as, see `Windowing.table` */
  show(table) {
    // R, G and B are alike and alpha is whole: the same number however the machine orders bytes.
    const colours = Uint32Array.from(table, (gray) => new Uint32Array(
      new Uint8Array([gray, gray, gray, 255]).buffer)[0]);
    const { gray, words } = this;
    for (let i = 0; i < gray.length; i++) words[i] = colours[gray[i]];
    this.context.putImageData(this.image, 0, 0);
  }
}

/** Yellow stands out from every gray, and for every kind of colour vision. */
export const MARK = [255, 210, 63];
const MARK_COLOUR = `rgb(${MARK.join(" ")})`;

/** Make a canvas as fine as the screen; true when that changed it. */
export function fitCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width === across && canvas.height === down) return false;
  canvas.width = across;
  canvas.height = down;
  return true;
}

/** Black, then the radiograph where the view puts it; the context is left in the radiograph's pixels. */
export function paintRadiograph(canvas, radiograph, view) {
  const context = canvas.getContext("2d", { alpha: false });
  const ratio = canvas.width / view.panel.width;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.globalAlpha = 1;
  context.fillStyle = "#000";
  context.fillRect(0, 0, canvas.width, canvas.height);
  const { origin, scale } = view;
  context.setTransform(scale * ratio, 0, 0, scale * ratio, origin.x * ratio, origin.y * ratio);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = scale < 1 ? "high" : "low";
  context.drawImage(radiograph.canvas, 0, 0);
  return context;
}

/** A mask over it. */
export function paintMask(context, path, view, { outlined, opacity }) {
  context.globalAlpha = opacity;
  if (outlined) {
    context.lineJoin = "round";
    // A dark rim keeps the line legible on white bone.
    for (const [colour, width] of [["rgb(0 0 0 / 60%)", 3.6], [MARK_COLOUR, 1.8]]) {
      context.strokeStyle = colour;
      context.lineWidth = width / view.scale;
      context.stroke(path);
    }
  } else {
    context.fillStyle = MARK_COLOUR;
    context.fill(path);
  }
  context.globalAlpha = 1;
}
