/** Numbers with few decimals that stay on their side of every bound; the rule of `report/numbers.py`. */

const MOST_DECIMALS = 6;
const SAME = 1e-7; // a slider's 0.1 + 0.2 is 0.3

/** A probability as text: "0.93", "< 0.50" just below a threshold of 0.5, "< 0.01", "> 0.99". */
export const probabilityText = (value, threshold) => shown(value, [0, threshold, 1], 2);

/** A percentage as text with its sign: "12.3 %", "< 0.1 %", "> 99.9 %"; between grades, where they end. */
export const percentText = (value, cutOffs = []) => `${shown(value, [0, ...cutOffs, 100], 1)} %`;

/** A threshold with the decimals that it has, and at least so many. */
export const thresholdText = (value, least = 2) => value.toFixed(decimalsOf(value, least));

function decimalsOf(bound, least) {
  for (let places = least; places < MOST_DECIMALS; places += 1) {
    if (Math.abs(Number(bound.toFixed(places)) - bound) < SAME) return places;
  }
  return MOST_DECIMALS;
}

function shown(value, bounds, least) {
  const decimals = Math.max(...bounds.map((bound) => decimalsOf(bound, least)));
  const text = value.toFixed(decimals);
  const step = 10 ** -decimals;
  const [low, high] = [bounds[0], bounds.at(-1)];
  if (side(value, low) > 0 && side(Number(text), low) === 0) return `< ${(low + step).toFixed(decimals)}`;
  if (side(value, high) < 0 && side(Number(text), high) === 0) return `> ${(high - step).toFixed(decimals)}`;
  const lifted = bounds.find((bound) => side(value, bound) < 0 && side(Number(text), bound) >= 0);
  return lifted === undefined ? text : `< ${lifted.toFixed(decimals)}`;
}

// In single precision, which models compute in.
const side = (value, bound) => Math.sign(Math.fround(value) - Math.fround(bound));
