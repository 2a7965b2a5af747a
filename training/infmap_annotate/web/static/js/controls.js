/** The sliders and switches under the pictures, and the keys for them: the same on both pages. */

import { display, setDisplay } from "./settings.js";

const PAN = 60; // CSS pixels a press
const ZOOM = 1.25;
const STEP = 8; // grays a press

const byId = (id) => document.getElementById(id);

/**
 * Let the controls work the view, and show what is set.
 *
 * @param scene `{ view, windowing, redraw }`, read at each use: the view changes with the item
 * @returns `show()`, to be called when something else changed what they show
 */
export function controls(scene) {
  const [opacity, width, level] = [byId("opacity"), byId("window"), byId("level")];
  const mode = { outline: byId("outlined"), overlay: byId("overlaid") };

  opacity.addEventListener("input", () => {
    setDisplay({ opacity: opacity.value / 100 });
    scene.redraw();
  });
  width.addEventListener("input", () => scene.windowing.set({ width: Number(width.value) }));
  level.addEventListener("input", () => scene.windowing.set({ level: Number(level.value) }));
  mode.outline.addEventListener("change", () => choose(true));
  mode.overlay.addEventListener("change", () => choose(false));
  byId("reset").addEventListener("click", () => reset(scene));

  function choose(outlined) {
    setDisplay({ outlined });
    show();
    scene.redraw();
  }

  function show() {
    mode.outline.checked = display.outlined;
    mode.overlay.checked = !display.outlined;
    opacity.value = Math.round(100 * display.opacity);
    if (scene.windowing) {
      width.value = scene.windowing.width;
      level.value = scene.windowing.level;
      byId("window-value").textContent = scene.windowing.width;
      byId("level-value").textContent = scene.windowing.level;
    }
    byId("opacity-value").textContent = `${opacity.value} %`;
  }
  show();

  const held = (key, shown, text, { width = 0, level = 0 }) => ({
    keys: [key], shown, text, repeats: true,
    does: () => scene.windowing.set({ width: scene.windowing.width + width, level: scene.windowing.level + level }),
  });
  const pan = { ArrowLeft: [PAN, 0], ArrowRight: [-PAN, 0], ArrowUp: [0, PAN], ArrowDown: [0, -PAN] };
  const keys = [
    { keys: ["o"], shown: "O", text: "Outline or overlay", does: () => choose(!display.outlined) },
    { keys: ["+", "="], shown: "+", text: "Zoom in", does: () => scene.view.zoomBy(ZOOM), repeats: true },
    { keys: ["-"], shown: "-", text: "Zoom out", does: () => scene.view.zoomBy(1 / ZOOM), repeats: true },
    {
      keys: Object.keys(pan), shown: "← ↑ → ↓", text: "Move the picture",
      does: (key) => scene.view.pan(...pan[key]), repeats: true,
    },
    held("w", "W", "Narrower window: more contrast", { width: -STEP }),
    held("Shift+w", "Shift W", "Wider window: less contrast", { width: STEP }),
    held("l", "L", "Lower level: brighter", { level: -STEP }),
    held("Shift+l", "Shift L", "Higher level: darker", { level: STEP }),
    { keys: ["0"], shown: "0", text: "Whole picture, window and level as they were", does: () => reset(scene) },
  ];
  return { show, keys };
}

function reset({ view, windowing }) {
  view.reset();
  windowing.reset();
}
