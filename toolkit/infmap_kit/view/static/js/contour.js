/** Where a field crosses a value: marching squares, straight between the centres of pixels. */

// Sides of a square are numbered top 0, right 1, bottom 2, left 3; by corners inside (top left 8, then clockwise).
const LINES = [
  [], [[3, 2]], [[2, 1]], [[3, 1]], [[0, 1]], [[3, 0], [2, 1]], [[0, 2]], [[3, 0]],
  [[3, 0]], [[0, 2]], [[3, 2], [0, 1]], [[0, 1]], [[3, 1]], [[2, 1]], [[3, 2]], [],
];

/**
 * @param field `{ width, height, values }`
 * @param least what lies inside reaches it
 * @param size `{ width, height }` of the radiograph, in whose pixels the path is
 * @returns Path2D of closed lines; the picture's edge closes what it cuts
 */
export function contourOf({ width, height, values }, least, size) {
  const path = new Path2D();
  const [across, down] = [size.width / width, size.height / height];
  const at = (x, y) => (x < 0 || y < 0 || x >= width || y >= height ? -1 : values[y * width + x]);
  const bound = least - 0.5; // between the last value outside and the first inside
  const beyond = width + 2; // columns, with those on both sides of the picture
  const crossings = new Map(); // side -> where it is crossed, and the sides that a line leads to from there

  /** A side of the square from (x, y) on. Neighbours share it: 0 and 2 lie across, 1 and 3 down. */
  const crossing = (x, y, side) => {
    const [left, top] = [x + (side === 1), y + (side === 2)];
    const isDown = side % 2;
    const key = 2 * ((top + 1) * beyond + left + 1) + isDown;
    if (!crossings.has(key)) {
      const [a, b] = [at(left, top), isDown ? at(left, top + 1) : at(left + 1, top)];
      const part = (bound - a) / (b - a);
      crossings.set(key, { x: isDown ? left : left + part, y: isDown ? top + part : top, to: [] });
    }
    return key;
  };

  for (let y = -1; y < height; y++) {
    for (let x = -1; x < width; x++) {
      const inside = 8 * (at(x, y) > bound) + 4 * (at(x + 1, y) > bound) + 2 * (at(x + 1, y + 1) > bound) + (at(x, y + 1) > bound);
      for (const line of LINES[inside]) {
        const [one, other] = line.map((side) => crossing(x, y, side));
        crossings.get(one).to.push(other);
        crossings.get(other).to.push(one);
      }
    }
  }
  // One line instead of its thousand pieces, each with ends of its own: half the time to draw.
  while (crossings.size) {
    let [key] = crossings.keys();
    for (let draw = "moveTo"; key !== undefined; draw = "lineTo") {
      const { x, y, to } = crossings.get(key);
      path[draw]((x + 0.5) * across, (y + 0.5) * down);
      crossings.delete(key);
      key = to.find((next) => crossings.has(next));
    }
    path.closePath();
  }
  return path;
}
