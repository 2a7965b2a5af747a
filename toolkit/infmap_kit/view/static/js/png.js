/**
 * Gray PNGs of 8 and 16 bits. A browser's own decoder gives a canvas 8 bits of 16, and none at all to a page that was
 * opened as a file.
 */

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];

/**
 * Decode a gray PNG (ISO/IEC 15948), not interlaced.
 *
 * @param bytes Uint8Array
 * @returns `{ width, height, values }`, values a Uint8Array or a Uint16Array, row by row
 */
export async function grayOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (SIGNATURE.some((byte, i) => bytes[i] !== byte)) throw new Error("this is no PNG");
  const packed = [];
  for (let at = 8; at < bytes.length;) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (kind === "IDAT") packed.push(bytes.subarray(at + 8, at + 8 + length));
    if (kind === "IEND") break;
    at += length + 12;
  }
  const [width, height, depth, colour] = [view.getUint32(16), view.getUint32(20), bytes[24], bytes[25]];
  if (![8, 16].includes(depth) || colour !== 0 || bytes[28] !== 0) {
    throw new Error("expected a gray PNG of 8 or 16 bits, found another");
  }
  const stream = new Blob(packed).stream().pipeThrough(new DecompressionStream("deflate"));
  const filtered = new Uint8Array(await new Response(stream).arrayBuffer());
  const stride = (width * depth) / 8;
  if (filtered.length !== height * (stride + 1)) throw new Error("the PNG is damaged");
  unfilter(filtered, height, stride, depth / 8);
  return { width, height, values: depth === 8 ? rows8(filtered, width, height) : rows16(filtered, width, height) };
}

/** Undo each row's filter, in place; the byte that names it stays before the row. */
function unfilter(bytes, height, stride, step) {
  const rowLength = stride + 1;
  for (let row = 0; row < height; row++) {
    const start = row * rowLength + 1;
    const filter = bytes[start - 1];
    const up = row ? -rowLength : NaN;
    const above = (i) => (row ? bytes[i + up] : 0);
    if (filter === 0) continue;
    if (filter > 4) throw new Error("the PNG is damaged");
    if (filter === 1) {
      for (let i = start + step; i < start + stride; i++) bytes[i] += bytes[i - step];
    } else if (filter === 2) {
      if (row) for (let i = start; i < start + stride; i++) bytes[i] += bytes[i + up];
    } else {
      for (let i = start; i < start + stride; i++) {
        const inside = i >= start + step;
        const left = inside ? bytes[i - step] : 0;
        if (filter === 3) bytes[i] += (left + above(i)) >> 1;
        else bytes[i] += paeth(left, above(i), inside ? above(i - step) : 0);
      }
    }
  }
}

function paeth(left, above, corner) {
  const [byLeft, byAbove] = [Math.abs(above - corner), Math.abs(left - corner)];
  const byCorner = Math.abs(left + above - 2 * corner);
  if (byLeft <= byAbove && byLeft <= byCorner) return left;
  return byAbove <= byCorner ? above : corner;
}

function rows8(bytes, width, height) {
  const values = new Uint8Array(width * height);
  for (let row = 0; row < height; row++) {
    const start = row * (width + 1) + 1;
    values.set(bytes.subarray(start, start + width), row * width);
  }
  return values;
}

function rows16(bytes, width, height) {
  const values = new Uint16Array(width * height);
  for (let row = 0, to = 0; row < height; row++) {
    let from = row * (2 * width + 1) + 1;
    for (let column = 0; column < width; column++, from += 2) values[to++] = (bytes[from] << 8) | bytes[from + 1];
  }
  return values;
}
