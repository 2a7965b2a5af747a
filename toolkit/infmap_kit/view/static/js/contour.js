/** Where a field crosses a value: marching squares, straight between the centres of pixels. */

// Edges of a square are numbered top 0, right 1, bottom 2, left 3; by corners inside (top left 8, then clockwise).
const LINES = [
  [], [[3, 2]], [[2, 1]], [[3, 1]], [[0, 1]], [[3, 0], [2, 1]], [[0, 2]], [[3, 0]],
  [[3, 0]], [[0, 2]], [[3, 2], [0, 1]], [[0, 1]], [[3, 1]], [[2, 1]], [[3, 2]], [],
];

/**
 * @param field `{ width, height, values }`
 * @param least what lies inside reaches it
 * @param size `{ width, height }` of the radiograph, in whose pixels the path is
 * @returns Path2D; the picture's edge closes what it cuts
 */
export function contourOf({ width, height, values }, least, size) {
  const path = new Path2D();
  const [across, down] = [size.width / width, size.height / height];
  const at = (x, y) => (x < 0 || y < 0 || x >= width || y >= height ? -1 : values[y * width + x]);
  const bound = least - 0.5; // between the last value outside and the first inside
  const part = (a, b) => (bound - a) / (b - a);
  for (let y = -1; y < height; y++) {
    for (let x = -1; x < width; x++) {
      const [a, b, c, d] = [at(x, y), at(x + 1, y), at(x + 1, y + 1), at(x, y + 1)];
      const lines = LINES[8 * (a > bound) + 4 * (b > bound) + 2 * (c > bound) + (d > bound)];
      for (const ends of lines) {
        ends.forEach((edge, i) => {
          const places = [
            () => [x + part(a, b), y], () => [x + 1, y + part(b, c)],
            () => [x + part(d, c), y + 1], () => [x, y + part(a, d)],
          ];
          const [column, row] = places[edge]();
          path[i ? "lineTo" : "moveTo"]((column + 0.5) * across, (row + 0.5) * down);
        });
      }
    }
  }
  return path;
}
