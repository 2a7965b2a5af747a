/** The page: the gallery, or one result; which of them stands behind the address's #. */

import { Desk } from "./desk.js";
import { Gallery } from "./gallery.js";
import { help, listen } from "./keys.js";
import { Opinions } from "./opinion.js";
import { source } from "./source.js";

const byId = (id) => document.getElementById(id);
const [listed, viewing] = [byId("gallery"), byId("viewing")];
const notice = byId("notice");

function tell(problem) {
  notice.querySelector("p").textContent = problem.message ?? problem;
  notice.hidden = false;
}
notice.querySelector("button").addEventListener("click", () => { notice.hidden = true; });

const stated = {};
const gallery = new Gallery(listed, stated);
const desk = new Desk(tell);
let opinions;
let cards = [];

const go = (id) => { location.hash = id ?? ""; };
const inGallery = () => !listed.hidden;
const shown = () => location.hash.slice(1);

async function follow() {
  const id = shown();
  notice.hidden = true;
  document.body.dataset.state = "loading";
  window.scrollTo(0, 0); // a narrow page scrolls as a whole
  listed.hidden = Boolean(id);
  viewing.hidden = !id;
  if (!id) {
    byId("title").textContent = "Results";
    gallery.filter();
    gallery.go(gallery.chosen);
    document.body.dataset.state = "ready";
    return;
  }
  try {
    const result = await desk.show(id, cards);
    if (!result) return;
    opinions.show(result);
    // What was marked is looked at as it was then.
    if (stated[id]?.mark) desk.set({ threshold: stated[id].threshold });
    const { place, before, after } = gallery.beside(id);
    if (place >= 0) gallery.chosen = place;
    byId("title").textContent = place < 0 ? result.source : `${place + 1} of ${gallery.cards.length}: ${result.source}`;
    byId("before").disabled = !before;
    byId("after").disabled = !after;
    if (document.activeElement === document.body) desk.panes[0].canvas.focus({ preventScroll: true });
    document.body.dataset.state = "ready";
  } catch (error) {
    if (shown() !== id) return;
    desk.clear();
    opinions.show({ id, rejected: true });
    byId("title").textContent = "This result cannot be shown";
    document.body.dataset.state = "failed";
    tell(error);
  }
}

/** Of what stands before the reader, and not of what is still loading. */
const mark = (kind) => document.body.dataset.state === "ready" && opinions.mark(kind);

byId("before").addEventListener("click", () => step("before"));
byId("after").addEventListener("click", () => step("after"));
function step(side) {
  const id = gallery.beside(shown())[side];
  if (id) go(id);
}

const STEP = 0.05;
const GRAYS = 8;
const slider = (keys, text, name, by) => [
  { keys: [keys], shown: keys.toUpperCase(), text: `${text}: more`, does: () => desk.step(name, by), repeats: true },
  {
    keys: [`Shift+${keys}`], shown: `Shift ${keys.toUpperCase()}`, text: `${text}: less`,
    does: () => desk.step(name, -by), repeats: true,
  },
];
const tone = (key, text, change) => ({
  keys: [key], shown: key.replace("+", " ").replace(/[a-z]$/, (letter) => letter.toUpperCase()), text,
  does: () => desk.shift(change), repeats: true,
});
const flip = (key, text, name) => ({ keys: [key], shown: key.toUpperCase(), text, does: () => desk.toggle(name) });
const pan = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

const forViewing = [
  { keys: ["n"], shown: "N", text: "Next result", does: () => step("after") },
  { keys: ["p"], shown: "P", text: "Previous result", does: () => step("before") },
  { keys: ["Escape"], shown: "Escape", text: "All results", does: () => go() },
  ...slider("s", "Radiograph without map", "divider", STEP),
  ...slider("o", "Opacity", "opacity", STEP),
  ...slider("t", "Threshold", "threshold", 0.01),
  tone("w", "Narrower window: more contrast", { width: -GRAYS }),
  tone("Shift+w", "Wider window: less contrast", { width: GRAYS }),
  tone("l", "Lower level: brighter", { level: -GRAYS }),
  tone("Shift+l", "Higher level: darker", { level: GRAYS }),
  flip("a", "Map on and off", "painted"),
  flip("b", "Map from the threshold only", "above"),
  flip("k", "Contour on and off", "contour"),
  flip("g", "Lungs on and off", "lungs"),
  { keys: ["c"], shown: "C", text: "Another radiograph of the patient beside", does: () => desk.nextBeside() },
  { keys: ["+", "="], shown: "+", text: "Zoom in", does: () => desk.zoom(1), repeats: true },
  { keys: ["-"], shown: "-", text: "Zoom out", does: () => desk.zoom(-1), repeats: true },
  {
    keys: Object.keys(pan), shown: "← ↑ → ↓", text: "Move the picture, or among results",
    does: (key) => desk.pan(...pan[key]), repeats: true,
  },
  { keys: ["0"], shown: "0", text: "As the result opened: whole picture and map, all as served", does: () => desk.reset() },
  { keys: ["y"], shown: "Y", text: "Agree", does: () => mark("agree") },
  { keys: ["d"], shown: "D", text: "Disagree", does: () => mark("disagree") },
  { keys: ["e"], shown: "E", text: "Your own severity", does: () => byId("estimate").focus() },
  { keys: ["m"], shown: "M", text: "Your note; Esc leaves it", does: () => byId("note").focus() },
];
const forGallery = [
  { keys: ["/"], shown: "/", text: "Find by name", does: () => gallery.form.elements.words.focus() },
  { keys: ["ArrowRight"], does: () => gallery.go(gallery.chosen + 1), repeats: true },
  { keys: ["ArrowLeft"], does: () => gallery.go(gallery.chosen - 1), repeats: true },
  { keys: ["ArrowDown"], does: () => gallery.go(gallery.chosen + gallery.columns), repeats: true },
  { keys: ["ArrowUp"], does: () => gallery.go(gallery.chosen - gallery.columns), repeats: true },
  { keys: ["PageDown"], does: () => gallery.go(gallery.chosen + gallery.columns * gallery.rowsShown), repeats: true },
  { keys: ["PageUp"], does: () => gallery.go(gallery.chosen - gallery.columns * gallery.rowsShown), repeats: true },
  { keys: ["Home"], shown: "Home", text: "First result", does: () => gallery.go(0) },
  { keys: ["End"], shown: "End", text: "Last result", does: () => gallery.go(Infinity) },
];
const openHelp = help([...forGallery.filter((row) => row.shown), ...forViewing]);
const forBoth = [{ keys: ["?"], does: openHelp }];
listen(forGallery, inGallery);
listen(forViewing, () => !inGallery());
listen(forBoth);
// Out of a field, back to where the keys work.
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !event.target.matches("input, textarea, select")) return;
  event.preventDefault();
  if (inGallery()) gallery.go(gallery.chosen);
  else desk.panes[0].canvas.focus();
});

try {
  const content = await source.list();
  cards = content.results;
  Object.assign(stated, content.opinions);
  opinions = new Opinions(stated, content.reader, () => desk.look.threshold, tell);
  gallery.show(cards);
  window.addEventListener("hashchange", follow);
  await follow();
} catch (error) {
  document.body.dataset.state = "failed";
  tell(error);
}
