/** Numbers with few decimals that stay on their side of every bound; the rule of `report/numbers.py`. */

const MOST_DECIMALS = 6;
const EXACT = 30; // decimals, beyond which nothing tells a percentage from a tie
const SAME = 1e-7; // a slider's 0.1 + 0.2 is 0.3

/** A probability as text: "0.93", "< 0.50" just below a threshold of 0.5, "< 0.01", "> 0.99". */
export const probabilityText = (value, threshold) => shown(value, [0, threshold, 1], 2);

/** A percentage as text with its sign: "12.3 %", "< 0.1 %", "> 99.9 %"; "> 50.0 %" just above
 * a grade's end at 50, which belongs to the grade below it. */
export const percentText = (value, cutOffs = []) => `${shown(value, [0, ...cutOffs, 100], 1, cutOffs)} %`;

/** A threshold with the decimals that it has, and at least so many. */
export const thresholdText = (value, least = 2) => value.toFixed(decimalsOf(value, least));

function decimalsOf(bound, least) {
  for (let places = least; places < MOST_DECIMALS; places += 1) {
    if (Math.abs(Number(bound.toFixed(places)) - bound) < SAME) return places;
  }
  return MOST_DECIMALS;
}

/** @param ends bounds of which the side above is another as well */
function shown(value, bounds, least, ends = []) {
  const decimals = Math.max(...bounds.map((bound) => decimalsOf(bound, least)));
  const text = rounded(value, decimals);
  const step = 10 ** -decimals;
  const [low, high] = [bounds[0], bounds.at(-1)];
  if (side(value, low) > 0 && side(Number(text), low) === 0) return `< ${(low + step).toFixed(decimals)}`;
  if (side(value, high) < 0 && side(Number(text), high) === 0) return `> ${(high - step).toFixed(decimals)}`;
  const lifted = bounds.find((bound) => side(value, bound) < 0 && side(Number(text), bound) >= 0);
  if (lifted !== undefined) return `< ${lifted.toFixed(decimals)}`;
  const lowered = ends.find((end) => side(value, end) > 0 && side(Number(text), end) <= 0);
  return lowered === undefined ? text : `> ${lowered.toFixed(decimals)}`;
}

/** As Python rounds: of an exact tie the even digit, where `toFixed` takes the larger. */
function rounded(value, decimals) {
  const exact = value.toFixed(EXACT);
  const cut = exact.length - EXACT + decimals;
  const isTie = /^50*$/.test(exact.slice(cut));
  return isTie && /[02468]$/.test(exact.slice(0, cut)) ? exact.slice(0, cut) : value.toFixed(decimals);
}

// In single precision, which models compute in.
const side = (value, bound) => Math.sign(Math.fround(value) - Math.fround(bound));
