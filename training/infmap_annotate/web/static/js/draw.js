/** The drawing page: a mask at the radiograph's own size, pixel for pixel. */

import { ask, deliver, randomId, tabId } from "./api.js";
import { controls } from "./controls.js";
import { draftOf, keepDraft, prune } from "./draft.js";
import { gestures } from "./gestures.js";
import { help, listen } from "./keys.js";
import { Mask } from "./mask.js";
import { clear, say, sayNext, tell, troubleWith } from "./notice.js";
import { Overlay } from "./overlay.js";
import { fitCanvas, paintRadiograph, Radiograph } from "./picture.js";
import { maskPixels, radiographPixels } from "./pictures.js";
import { grayPng } from "./png.js";
import { decide, embedded, pickPage, Stopwatch } from "./session.js";
import { display, keepLook, recallLook } from "./settings.js";
import { Toolbox } from "./toolbox.js";
import { Hand } from "./tools.js";
import { View, Windowing } from "./view.js";

const byId = (id) => document.getElementById(id);
const item = embedded();
const canvas = byId("canvas");
const stopwatch = new Stopwatch();
export const mask = new Mask(item.width, item.height, repaint);
const overlay = new Overlay(mask);
const scene = {
  mask, view: new View(item.width, item.height, redraw), windowing: new Windowing(windowed), redraw,
};
const { show: showControls, keys: viewKeys } = controls(scene);
const toolbox = new Toolbox(scene.view, Math.max(4, item.width / 40), () => hand.abandon());
const hand = new Hand(scene, toolbox, changed);

let radiograph = null;
let hidden = false;
let unsaved = false;
let frame = 0;

// ---- the picture ----------------------------------------------------------------------------------------------

function redraw() {
  frame ||= requestAnimationFrame(draw);
}

function repaint(box) {
  overlay.update(box);
  redraw();
}

function windowed() {
  radiograph?.show(scene.windowing.table());
  showControls();
  redraw();
}

function draw() {
  cancelAnimationFrame(frame);
  frame = 0;
  if (!radiograph) return;
  const { view } = scene;
  fitCanvas(canvas, view.panel.width, view.panel.height);
  const context = paintRadiograph(canvas, radiograph, view);
  if (!hidden) {
    overlay.show(display.outlined, view.scale * (window.devicePixelRatio || 1));
    overlay.paint(context, view.scale, display.opacity);
  }
  paintCorners(context, view.scale);
  byId("zoom-value").textContent = `${Math.round(100 * view.zoom)} %`;
  toolbox.showRing();
  keepLook(item.item, view, scene.windowing);
}

function paintCorners(context, scale) {
  const { corners } = hand;
  if (!corners.length) return;
  const path = new Path2D();
  corners.forEach(({ x, y }) => path.lineTo(x, y));
  for (const [colour, width] of [["rgb(0 0 0 / 70%)", 4], ["#7fd4ff", 2]]) {
    context.lineWidth = width / scale;
    context.strokeStyle = colour;
    context.stroke(path);
    context.strokeRect(corners[0].x - 4 / scale, corners[0].y - 4 / scale, 8 / scale, 8 / scale);
  }
}

// ---- changes --------------------------------------------------------------------------------------------------

async function startFrom(slot) {
  if (slot && !item.candidates.some((one) => one.slot === slot)) return;
  try {
    const pixels = slot ? await maskPixels(item, slot) : new Uint8Array(mask.pixels.length);
    mask.begin();
    mask.replace(pixels, slot);
    if (mask.commit()) changed();
    say(slot ? `Candidate ${slot} is the start.` : "Empty.");
  } catch (error) {
    tell(`Candidate ${slot} cannot be had. ${error.message}`);
  }
}

function travel(way) {
  if (hand.corners.length) {
    if (way === "undo") hand.dropCorner();
    return;
  }
  mask[way]();
  changed();
}

// ---- drafts ---------------------------------------------------------------------------------------------------

let keeping = Promise.resolve();
let newest = 0;

function changed() {
  unsaved = true;
  byId("undo").disabled = !mask.canUndo;
  byId("redo").disabled = !mask.canRedo;
  const mine = ++newest;
  // One after the other, and of those that wait only the newest.
  keeping = keeping.then(() => mine === newest && keepDraft({
    item: item.item, pixels: mask.pixels, origin: mask.origin,
  })).then(() => performance.mark("kept"), () => {
    byId("unkept").hidden = false;
  });
}

async function restore() {
  const draft = await draftOf(item.item).catch(() => undefined);
  if (draft?.pixels.length !== mask.pixels.length) return;
  mask.replace(draft.pixels, draft.origin);
  unsaved = !mask.isEmpty;
  if (unsaved) say("Your drawing is as you left it.");
}

window.addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});

// ---- saving and leaving ---------------------------------------------------------------------------------------

async function save({ empty = false } = {}) {
  if (document.body.dataset.state !== "ready") return;
  if (hand.corners.length) hand.close();
  if (mask.isEmpty && !empty) {
    tell("Nothing is drawn. Save that nothing is infected?", [
      { label: "Save as not infected", does: () => save({ empty: true }) }, { label: "Go on drawing", does: clear },
    ]);
    return;
  }
  clear();
  setState("sending");
  const body = await grayPng(mask.pixels, item.width, item.height);
  const query = new URLSearchParams({
    from_slot: mask.origin, elapsed_ms: stopwatch.elapsed_ms, tab: tabId(), key: randomId(),
  });
  const path = `/api/items/${item.item}/drawing?${query}`;
  try {
    await deliver(() => ask("PUT", path, { body, type: "image/png" }), troubleWith("Your drawing"));
    sayNext(`Radiograph ${item.number}: drawing saved. U takes it back.`);
    leave();
  } catch (error) {
    setState("ready");
    cannot("Your drawing was not saved.", error);
  }
}

/** To the candidates; a reject is taken back on the way. */
async function back() {
  if (document.body.dataset.state !== "ready") return;
  if (!item.rejected) {
    leave();
    return;
  }
  await decided("undo", "The candidates are open again; your drawing is kept.");
}

function skip() {
  if (document.body.dataset.state !== "ready") return;
  decided("skip", `Radiograph ${item.number}: skipped; it comes back at the end.`);
}

async function decided(kind, said) {
  setState("sending");
  try {
    await decide({ item: item.item, kind, elapsed_ms: stopwatch.elapsed_ms });
    sayNext(said);
    leave();
  } catch (error) {
    setState("ready");
    cannot("Not counted.", error);
  }
}

async function leave() {
  await keeping;
  unsaved = false;
  location.assign(pickPage);
}

function cannot(what, error) {
  if (!error.status) throw error;
  const gone = [404, 409, 410].includes(error.status);
  tell(`${what} ${error.message}`, gone
    ? [{ label: "To the radiographs", does: leave }, { label: "Stay", does: clear }]
    : undefined);
}

function setState(state) {
  document.body.dataset.state = state;
  for (const id of ["save", "back", "skip"]) byId(id).disabled = state !== "ready";
}

// ---- keys and buttons -----------------------------------------------------------------------------------------

const on = (id, does) => byId(id).addEventListener("click", does);
on("undo", () => travel("undo"));
on("redo", () => travel("redo"));
on("clear", () => startFrom(0));
on("save", () => save());
on("back", back);
on("skip", skip);
for (const { slot } of item.candidates) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", textContent: slot, onclick: () => startFrom(slot) });
  button.setAttribute("aria-label", `Start from candidate ${slot}`);
  button.setAttribute("aria-keyshortcuts", slot);
  byId("starts").append(button);
}

const hide = (hiding) => {
  hidden = hiding;
  redraw();
};
const rows = [
  { keys: ["b"], shown: "B", text: "Brush", does: () => toolbox.take("brush") },
  { keys: ["e"], shown: "E", text: "Eraser", does: () => toolbox.take("eraser") },
  {
    keys: ["p"], shown: "P", text: "Polygon: click corners or drag around; Enter or the first corner closes it",
    does: () => toolbox.take("polygon"),
  },
  { keys: ["f"], shown: "F", text: "Fill an enclosed area", does: () => toolbox.take("fill") },
  {
    keys: ["x"], shown: "X", text: "Polygon and fill remove instead",
    does: () => toolbox.remove(!toolbox.removing),
  },
  { keys: ["["], shown: "[", text: "Smaller brush", does: () => toolbox.shrink(), repeats: true },
  { keys: ["]"], shown: "]", text: "Larger brush", does: () => toolbox.grow(), repeats: true },
  { keys: ["Ctrl+z", "u"], shown: "U or Ctrl Z", text: "Undo", does: () => travel("undo"), repeats: true },
  {
    keys: ["Ctrl+y", "Ctrl+Shift+z", "Shift+u"], shown: "Shift U or Ctrl Y", text: "Redo",
    does: () => travel("redo"), repeats: true,
  },
  { keys: ["Enter"], shown: "Enter", text: "Close the polygon", does: () => hand.close() },
  {
    keys: ["Backspace"], shown: "Backspace", text: "Take back the polygon's last corner",
    does: () => hand.dropCorner(),
  },
  { keys: ["Escape"], shown: "Escape", text: "Give the polygon up", does: () => hand.abandon() },
  {
    keys: ["1", "2", "3", "4", "5", "6"], shown: "1 to 6", text: "Start from that candidate",
    does: (key) => startFrom(Number(key)),
  },
  {
    keys: ["Space"], shown: "Space", text: "Held: drag moves the picture",
    does: () => toolbox.pan(true), released: () => toolbox.pan(false),
  },
  {
    keys: ["h"], shown: "H", text: "Hide the mask while held",
    does: () => hide(true), released: () => hide(false),
  },
  ...viewKeys,
  { keys: ["s"], shown: "S", text: "Skip for now", does: skip },
  { keys: ["c"], shown: "C", text: "Back to the candidates", does: back },
  { keys: ["Ctrl+s"], shown: "Ctrl S", text: "Save the drawing", does: () => save() },
];
const openHelp = help([...rows, { shown: "?", text: "This help" }]);
listen([...rows, { keys: ["?"], does: openHelp }]);

gestures(canvas, scene, {
  tool: {
    start: (...args) => document.body.dataset.state === "ready" && hand.start(...args),
    move: (...args) => hand.move(...args),
    end: (...args) => hand.end(...args),
    cancel: () => hand.cancel(),
  },
  hover: (at) => toolbox.pointAt(at),
});
new ResizeObserver(() => scene.view.resize(canvas.clientWidth, canvas.clientHeight)).observe(canvas);

async function begin() {
  byId("number").textContent = `Radiograph ${item.number} of ${item.total}`;
  try {
    radiograph = new Radiograph(await radiographPixels(item), item.width, item.height);
  } catch (error) {
    const again = { label: "Try again", does: () => location.reload() };
    tell(`This radiograph cannot be shown. ${error.message}`, [again]);
    return;
  }
  await restore();
  scene.view.resize(canvas.clientWidth, canvas.clientHeight);
  recallLook(item.item, scene.view, scene.windowing);
  windowed();
  draw();
  stopwatch.restart();
  setState("ready");
  performance.mark("ready", { detail: item.item });
  prune().catch(() => {});
}
begin();
