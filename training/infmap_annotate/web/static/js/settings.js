/** What a reader set: outline or overlay and opacity for good, the view of a radiograph while the tab lives. */

const DISPLAY = "infmap.display";
const LOOK = "infmap.look";

export const display = {
  outlined: true,
  opacityOf: { true: 1, false: 0.4 },
  ...JSON.parse(localStorage[DISPLAY] ?? "{}"),
  get opacity() {
    return this.opacityOf[this.outlined];
  },
};

export function setDisplay({ outlined = display.outlined, opacity }) {
  display.outlined = outlined;
  if (opacity !== undefined) display.opacityOf[outlined] = opacity;
  const { opacityOf } = display;
  localStorage[DISPLAY] = JSON.stringify({ outlined, opacityOf });
}

/** Keep zoom, position, window and level of an item, across a reload and on the way to the drawing page. */
export function keepLook(item, view, windowing) {
  sessionStorage[LOOK] = JSON.stringify({ item, view: view.state, windowing: windowing.state });
}

/** Take them up again, if they are of this item. */
export function recallLook(item, view, windowing) {
  const kept = JSON.parse(sessionStorage[LOOK] ?? "{}");
  if (kept.item !== item) return;
  view.restore(kept.view);
  windowing.set(kept.windowing);
}
