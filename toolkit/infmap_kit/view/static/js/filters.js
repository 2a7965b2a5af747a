/** What the gallery shows, and in which order. */

const NUMBER = new Intl.Collator("en", { numeric: true });
const byName = (a, b) => NUMBER.compare(a.source, b.source);
const found = (card) => Number(card.detected === true);
/** Largest first, of equal ones what was detected; what has no such figure comes last. */
const falling = (figure) => (a, b) => (figure(b) ?? -1) - (figure(a) ?? -1) || found(b) - found(a) || byName(a, b);
const dateOf = (card) => card.taken || card.written;

const ORDERS = {
  name: byName,
  severity: falling((card) => card.severity_percent),
  probability: falling((card) => card.probability_max),
  disagreement: falling((card) => (card.agrees === false ? 1 + Math.abs(card.classifier - card.probability_max) : 0)),
  newest: (a, b) => (dateOf(a) < dateOf(b) ? 1 : dateOf(a) > dateOf(b) ? -1 : byName(a, b)),
  oldest: (a, b) => (dateOf(a) > dateOf(b) ? 1 : dateOf(a) < dateOf(b) ? -1 : byName(a, b)),
};

const KINDS = {
  all: () => true,
  detected: (card) => card.detected === true,
  absent: (card) => card.detected === false,
  rejected: (card) => Boolean(card.rejected),
  disagreement: (card) => card.agrees === false,
  warned: (card) => card.warnings?.length > 0,
};

const OPINIONS = {
  all: () => true,
  none: (stated) => !stated?.mark,
  agree: (stated) => stated?.mark === "agree",
  disagree: (stated) => stated?.mark === "disagree",
  noted: (stated) => Boolean(stated?.note),
};

/**
 * @param form the form of filters
 * @param opinions what the reader said, by result
 * @returns the cards to show, in order
 */
export function chosen(cards, form, opinions) {
  // Read once, and not with each of thousands of cards.
  const asked = Object.fromEntries(new FormData(form));
  const sought = asked.words.trim().toLowerCase();
  const [leastSeverity, leastProbability] = [Number(asked.severity) || 0, Number(asked.probability) || 0];
  const fits = (card) =>
    KINDS[asked.kind](card)
    && OPINIONS[asked.opinion](opinions[card.id])
    && (!leastSeverity || card.severity_percent >= leastSeverity)
    && (!leastProbability || card.probability_max >= leastProbability)
    && (!asked.from || dateOf(card).slice(0, 10) >= asked.from)
    && (!asked.to || dateOf(card).slice(0, 10) <= asked.to)
    && (!sought || `${card.source} ${card.patient ?? ""}`.toLowerCase().includes(sought));
  return cards.filter(fits).sort(ORDERS[asked.order]);
}
