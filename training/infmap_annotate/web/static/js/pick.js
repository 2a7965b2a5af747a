/** The page of candidates: look, pick, and the next one is there. */

import { controls } from "./controls.js";
import { help, listen } from "./keys.js";
import { clear, say, sayLeft, tell } from "./notice.js";
import { Panels } from "./panels.js";
import { Radiograph } from "./picture.js";
import { picturesOf } from "./pictures.js";
import { current, decide, deliverUnsent, embedded, following, queue, Stopwatch } from "./session.js";
import { display, keepLook, recallLook } from "./settings.js";
import { View, Windowing } from "./view.js";

const byId = (id) => document.getElementById(id);
const stopwatch = new Stopwatch();

let item = embedded(); // what the server says of the present item; `item.item` is null when all is done
let shown = null; // its radiograph, once that is there
let hidden = false; // masks, while H is held

const scene = { view: new View(1, 1, redraw), windowing: new Windowing(windowed), redraw };
const { show: showControls, keys: viewKeys } = controls(scene);
const panels = new Panels(byId("panels"), byId("panel"), scene, (slot) => act("pick", slot));

// ---- the item -------------------------------------------------------------------------------------------------

async function present(next) {
  item = next;
  shown = null;
  setState("loading");
  showProgress();
  byId("work").hidden = item.item === null;
  byId("done").hidden = item.item !== null;
  if (item.item === null) {
    setState("done");
    byId("done").querySelector("h2").focus();
    return;
  }
  const wanted = item.item;
  let pictures;
  try {
    pictures = await picturesOf(item);
  } catch (error) {
    if (item.item === wanted) cannotShow(error);
    return;
  }
  if (item.item !== wanted) return;
  start(pictures);
  preload(wanted);
}

function start({ gray, masks }) {
  const { width, height, previous } = item;
  scene.view = new View(width, height, redraw);
  scene.windowing = new Windowing(windowed);
  shown = new Radiograph(gray, width, height);
  panels.furnish(masks, previous?.kind === "pick" ? previous.slot : null);
  arrange();
  recallLook(item.item, scene.view, scene.windowing);
  windowed();
  draw();
  stopwatch.restart();
  setState("ready");
  performance.mark("ready", { detail: item.item });
}

async function preload(id) {
  try {
    const next = await following(id);
    if (next.item !== null) {
      await picturesOf(next);
      performance.mark("preloaded", { detail: next.item });
    }
  } catch {
    // It is asked for again when its turn comes, and then said if that fails.
  }
}

function cannotShow(error) {
  setState("failed");
  const again = () => {
    clear();
    present(item);
  };
  const actions = [{ label: "Try again", does: again }, { label: "Skip it", does: () => act("skip") }];
  if (error.status === 401) actions.unshift({ label: "Sign in", href: "/sign-in" });
  tell(`This radiograph cannot be shown. ${error.message}`, actions);
}

// ---- decisions ------------------------------------------------------------------------------------------------

const SAID = {
  pick: (slot) => `candidate ${slot} picked.`,
  reject: () => "all candidates rejected.",
  skip: () => "skipped; it comes back at the end.",
  undo: () => "Undone.",
};

const POSSIBLE_IN = {
  pick: ["ready"], reject: ["ready"], skip: ["ready", "failed"], undo: ["ready", "failed", "done"],
};

async function act(kind, slot = null) {
  const state = document.body.dataset.state;
  if (!POSSIBLE_IN[kind].includes(state)) return;
  if ((kind === "undo" && !item.can_undo) || (kind === "reject" && !item.may_reject)) return;
  if (item.rejected && ["pick", "reject"].includes(kind)) {
    say("You rejected all of these. U takes that back, D draws.");
    return;
  }
  performance.mark("decided", { detail: kind });
  setState("sending");
  panels.choose(slot);
  const decided = { number: item.number, kind, slot };
  try {
    const { next } = await decide({ item: item.item, kind, slot, elapsed_ms: stopwatch.elapsed_ms });
    await accepted(decided, next);
  } catch (error) {
    await refused(error);
  }
}

async function accepted({ number, kind, slot }, next) {
  clear();
  if (kind === "reject" && next.rejected && next.may_draw) {
    location.assign(`/draw/${next.item}`);
    return;
  }
  const of = kind === "undo" ? "" : `Radiograph ${number}: `;
  const way = kind === "undo" ? was(next.previous) : " U takes it back.";
  say(of + SAID[kind](slot) + way);
  await present(next);
}

function was(previous) {
  if (!previous) return "";
  return previous.kind === "pick" ? ` You had picked ${previous.slot}.` : ` It was: ${previous.kind}.`;
}

async function refused(error) {
  if (!error.status) throw error;
  panels.choose(null);
  const elsewhere = error.status === 409 || error.status === 410 || error.status === 404;
  if (!elsewhere) {
    tell(`Not saved. ${error.message}`);
    if (item.item === null) setState("done");
    else if (shown) setState("ready");
    return;
  }
  tell(`Not counted. ${error.message}`);
  try {
    await present(await current());
  } catch (again) {
    cannotShow(again);
  }
}

// ---- drawing --------------------------------------------------------------------------------------------------

let frame = 0;

function redraw() {
  frame ||= requestAnimationFrame(draw);
}

function arrange() {
  if (shown) panels.arrange(item.width, item.height);
}

function windowed() {
  shown?.show(scene.windowing.table());
  showControls();
  redraw();
}

function draw() {
  cancelAnimationFrame(frame);
  frame = 0;
  if (!shown) return;
  panels.paint(shown, hidden ? null : display);
  byId("zoom-value").textContent = `${Math.round(100 * scene.view.zoom)} %`;
  keepLook(item.item, scene.view, scene.windowing);
}

// ---- the page around it ---------------------------------------------------------------------------------------

/** Buttons stay as they are while something is under way: a disabled one would lose the focus. */
function setState(state) {
  document.body.dataset.state = state;
  byId("panels").setAttribute("aria-busy", String(state !== "ready"));
}

function showProgress() {
  const { done, total, skipped } = item.progress;
  byId("progress").max = Math.max(1, total);
  byId("progress").value = done;
  byId("progress-text").textContent = `${done} of ${total} done${skipped ? `, ${skipped} skipped` : ""}`;
  for (const button of document.querySelectorAll(".undo")) button.disabled = !item.can_undo;
  if (item.item === null) {
    byId("number").textContent = "Radiographs";
    byId("stage").textContent = "";
    return;
  }
  byId("number").textContent = `Radiograph ${item.number} of ${item.total}`;
  const stage = { 1: "Stage I", 2: "Stage II" }[item.stage];
  byId("stage").textContent = queue === "third" ? "Third reading" : stage;
  byId("reject").hidden = !item.may_reject;
  byId("reject").disabled = item.rejected;
  byId("draw").hidden = !item.may_draw;
  byId("missing").textContent = item.missing.join(" ");
  byId("missing").hidden = item.missing.length === 0;
  byId("rejected").hidden = !item.rejected;
}

function goDraw() {
  if (item.may_draw && document.body.dataset.state === "ready") location.assign(`/draw/${item.item}`);
}

byId("reject").addEventListener("click", () => act("reject"));
byId("skip").addEventListener("click", () => act("skip"));
byId("draw").addEventListener("click", goDraw);
for (const button of document.querySelectorAll(".undo")) button.addEventListener("click", () => act("undo"));

const hide = (on) => {
  hidden = on;
  redraw();
};
const rows = [
  {
    keys: ["1", "2", "3", "4", "5", "6"], shown: "1 to 6", text: "Pick that candidate",
    does: (key) => panels.slots.includes(Number(key)) && act("pick", Number(key)),
  },
  { keys: ["r"], shown: "R", text: "Reject all candidates, and draw", does: () => act("reject") },
  { keys: ["s"], shown: "S", text: "Skip for now", does: () => act("skip") },
  { keys: ["u", "Ctrl+z"], shown: "U or Ctrl Z", text: "Undo the last decision", does: () => act("undo") },
  { keys: ["d"], shown: "D", text: "Draw it yourself", does: goDraw },
  {
    keys: ["h"], shown: "H", text: "Hide the masks while held",
    does: () => hide(true), released: () => hide(false),
  },
  ...viewKeys,
];
const openHelp = help([...rows, { shown: "?", text: "This help" }]);
listen([...rows, { keys: ["?"], does: openHelp }]);
new ResizeObserver(arrange).observe(byId("panels"));

async function begin() {
  sayLeft();
  const late = await deliverUnsent().catch(refused);
  if (late) {
    say("Your last decision was saved.");
    item = late.next;
  }
  if (document.body.dataset.state === "starting") await present(item);
}
begin();
