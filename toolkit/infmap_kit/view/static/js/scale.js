/** The measured scale: a bar of a round length. */

const LONGEST = 140; // CSS pixels
const ROUND = [1, 2, 5];
const EQUAL = 1e-3; // relative; what files round their spacings to is not seen

/** Whether pixels are as wide as high; where nothing is known, they are taken to be. */
export const isSquare = (spacing) => !spacing || Math.abs(spacing.down / spacing.across - 1) < EQUAL;

/**
 * @param spacing `{ down, across, at }` in mm between pixels, or null
 * @param zoom CSS pixels for one pixel of the radiograph
 * @returns `{ length, text }`, in CSS pixels
 */
export function scaleOf(spacing, zoom) {
  const unit = spacing ? zoom / spacing.across : zoom; // CSS pixels for a millimetre, or a pixel
  const most = LONGEST / unit;
  const power = 10 ** Math.floor(Math.log10(most));
  const size = Math.max(...ROUND.map((one) => one * power).filter((one) => one <= most));
  const shown = Number(size.toPrecision(1));
  if (!spacing) return { length: size * unit, text: `${shown} pixels; no measure in the file` };
  const where = spacing.at === "detector" ? " at the detector" : "";
  const along = isSquare(spacing) ? "" : " across";
  return { length: size * unit, text: `${shown} mm${along}${where}` };
}
