/** A worker: PNG to pixels, and masks to outlines, so that the page never stands still for them. */

import { outlines } from "./outline.js";

self.onmessage = async ({ data: { id, blob, width, height, want } }) => {
  try {
    const gray = await grayPixels(blob, width, height);
    if (want === "outline") {
      const lines = outlines(gray, width, height).map((points) => Float32Array.from(points));
      const marked = gray.reduce((sum, value) => sum + (value ? 1 : 0), 0);
      self.postMessage({ id, result: { lines, marked } }, lines.map((line) => line.buffer));
    } else {
      self.postMessage({ id, result: gray }, [gray.buffer]);
    }
  } catch (error) {
    self.postMessage({ id, error: error.message });
  }
};

async function grayPixels(blob, width, height) {
  // No conversion of colours: the bytes of the file are wanted, as they are.
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" });
  if (bitmap.width !== width || bitmap.height !== height) {
    throw new Error(`expected a picture of ${width}x${height}, found ${bitmap.width}x${bitmap.height}`);
  }
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const gray = new Uint8Array(width * height);
  for (let i = 0; i < gray.length; i++) gray[i] = data[4 * i];
  return gray;
}
