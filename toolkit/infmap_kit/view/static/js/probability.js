/** The probabilities of a result: severity at any threshold. */

const MOST = 65535;

/** The first step that reaches a threshold. At 0.5 exactly what the model counted: see `PROBABILITY_STEPS`. */
export const stepOf = (threshold) => Math.round(threshold * MOST);

export class Probability {
  /**
   * @param steps `{ width, height, values }` of 16 bits
   * @param lungs the same of 8 bits, or null
   */
  constructor(steps, lungs) {
    Object.assign(this, steps);
    this.lungs = lungs;
    let top = 0;
    for (const value of this.values) if (value > top) top = value;
    this.highest = top / MOST;
    this.ofLungs = Boolean(lungs && lungs.values.some((value) => value > 0));
  }

  /** Pixels that reach a threshold, in percent of the lungs, or of the picture where none are known. */
  severity(threshold) {
    const least = stepOf(threshold);
    const { values } = this;
    const inside = this.ofLungs ? this.lungs.values : null;
    let [area, affected] = [0, 0];
    for (let i = 0; i < values.length; i++) {
      if (inside && !inside[i]) continue;
      area += 1;
      if (values[i] >= least) affected += 1;
    }
    return (100 * affected) / area;
  }

  /** Whether any pixel reaches a threshold, wherever it lies. */
  reaches(threshold) {
    const least = stepOf(threshold);
    return this.values.some((value) => value >= least);
  }
}
