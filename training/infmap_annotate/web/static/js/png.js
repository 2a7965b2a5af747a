/**
 * Gray pixels to PNG, one byte each.
 *
 * A canvas writes red, green, blue and alpha; a mask has one channel. Source: PNG, W3C Recommendation, third edition.
 */

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const CRC_POLYNOMIAL = 0xedb88320;

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? CRC_POLYNOMIAL : 0);
  return remainder;
});

/** @returns a Blob: 8-bit gray, not interlaced, of (height * width) bytes */
export async function grayPng(pixels, width, height) {
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, width);
  header.setUint32(4, height);
  header.setUint8(8, 8); // bits a pixel; the rest is 0: gray, deflate, the usual filters, not interlaced
  const rows = new Uint8Array((width + 1) * height); // a 0 before each row: not filtered
  for (let y = 0; y < height; y++) {
    rows.set(pixels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  }
  const zlib = new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"));
  const data = new Uint8Array(await new Response(zlib).arrayBuffer());
  const pieces = [
    Uint8Array.from(SIGNATURE),
    ...chunk("IHDR", new Uint8Array(header.buffer)), ...chunk("IDAT", data), ...chunk("IEND", new Uint8Array()),
  ];
  return new Blob(pieces, { type: "image/png" });
}

function chunk(name, data) {
  const named = new Uint8Array(4 + data.length);
  named.set([...name].map((letter) => letter.charCodeAt(0)));
  named.set(data, 4);
  return [bigEndian(data.length), named, bigEndian(crc(named))];
}

function bigEndian(number) {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}

function crc(bytes) {
  let remainder = 0xffffffff;
  for (const byte of bytes) remainder = crcTable[(remainder ^ byte) & 255] ^ (remainder >>> 8);
  return (remainder ^ 0xffffffff) >>> 0;
}
