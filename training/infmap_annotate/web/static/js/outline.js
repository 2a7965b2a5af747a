/**
 * The outline of a mask: closed lines through the middles of the edges between inside and outside.
 *
 * Pixels that touch at a corner only are apart. A point lies half a pixel off the pixels' corners at most.
 */

const STEP = [[1, 0], [0, 1], [-1, 0], [0, -1]]; // east, south, west, north; the inside lies on the right
const AHEAD = [ // pixels ahead of a corner, by direction: on the left, on the right
  [[0, -1], [0, 0]],
  [[0, 0], [-1, 0]],
  [[-1, 0], [-1, -1]],
  [[-1, -1], [0, -1]],
];

/**
 * @param mask Uint8Array of width * height, rows from the top; not zero is inside
 * @returns one flat [x, y, x, y, ...] for each closed line, in pixels; (0, 0) is the top left corner
 */
export function outlines(mask, width, height) {
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x] !== 0;
  const seen = new Uint8Array(width * height); // upper edges that a line already holds
  const found = [];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * width + x;
      if (mask[at] && !seen[at] && !inside(x, y - 1)) found.push(follow(x, y));
    }
  }
  return found;

  function follow(startX, startY) {
    const points = [];
    let [x, y, direction] = [startX, startY, 0];
    let turned = true; // the row's scan meets a line first where a straight run begins
    do {
      if (direction === 0) seen[y * width + x] = 1;
      const [dx, dy] = STEP[direction];
      const middle = [x + dx / 2, y + dy / 2];
      x += dx;
      y += dy;
      const next = turn(x, y, direction);
      // Between two bends of one straight run only the first and the last middle are needed.
      if (turned || next !== direction) points.push(...middle);
      turned = next !== direction;
      direction = next;
    } while (x !== startX || y !== startY || direction !== 0);
    return points;
  }

  function turn(x, y, direction) {
    const [left, right] = AHEAD[direction];
    if (!inside(x + right[0], y + right[1])) return (direction + 1) % 4;
    if (!inside(x + left[0], y + left[1])) return direction;
    return (direction + 3) % 4;
  }
}

/** A path to stroke or to fill, in pixels of the mask. */
export function pathOf(lines) {
  const path = new Path2D();
  for (const points of lines) {
    path.moveTo(points[0], points[1]);
    for (let i = 2; i < points.length; i += 2) path.lineTo(points[i], points[i + 1]);
    path.closePath();
  }
  return path;
}
