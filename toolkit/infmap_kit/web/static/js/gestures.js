/**
 * Mouse, touch and pen on a panel: pan, zoom, window and level; and a tool, where there is one.
 *
 * Left button or one finger: the tool, else pan. Middle button: pan. Right button: window and level. Wheel or two
 * fingers: zoom. Once a pen was seen, fingers no longer draw: the hand that holds the pen rests on the screen.
 */

const WHEEL_LINE = 16; // pixels, where a wheel counts lines
const WHEEL_SPEED = 0.0016;
const PINCH_SPEED = 0.01; // a trackpad's pinch comes as a wheel with Ctrl

let penSeen = false;

/**
 * @param element what listens
 * @param scene `{ view, windowing }`, a `View` and a `Windowing`, read at each use
 * @param tool null, or `{ start, move, end, cancel }`, called with ({ x, y } of the panel, event); `start` says
 *   whether it takes the pointer
 * @param hover called with { x, y } of the panel, or null when the pointer left
 */
export function gestures(element, scene, { tool = null, hover = () => {} } = {}) {
  const pointers = new Map(); // id -> { x, y } of all that are down
  let doing = null; // "pan", "window", "pinch" or "tool"
  let spread = null; // distance and middle of two fingers

  const place = (event) => {
    const box = element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  element.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "pen") penSeen = true;
    const at = place(event);
    pointers.set(event.pointerId, at);
    element.setPointerCapture(event.pointerId);
    element.focus({ preventScroll: true }); // away from sliders and buttons, which would keep the arrow keys
    if (event.pointerType === "touch" && pointers.size === 2) {
      if (doing === "tool") tool.cancel();
      doing = "pinch";
      spread = spreadOf(pointers);
    } else if (pointers.size === 1) {
      doing = purpose(event, at);
    }
  });

  function purpose(event, at) {
    if (event.button === 2 || (event.button === 0 && event.ctrlKey)) return "window";
    if (event.button === 1) return "pan";
    const resting = event.pointerType === "touch" && penSeen;
    return tool && !resting && tool.start(at, event) ? "tool" : "pan";
  }

  element.addEventListener("pointermove", (event) => {
    const at = place(event);
    hover(event.pointerType === "touch" ? null : at);
    const before = pointers.get(event.pointerId);
    if (!before) return;
    pointers.set(event.pointerId, at);
    const [dx, dy] = [at.x - before.x, at.y - before.y];
    if (doing === "tool") {
      // All the places since the last frame, so that a quick stroke stays round.
      const steps = event.getCoalescedEvents?.() ?? [];
      for (const step of steps.length ? steps : [event]) tool.move(place(step), step);
    } else if (doing === "pan") {
      scene.view.pan(dx, dy);
    } else if (doing === "window") {
      const { width, level } = scene.windowing;
      scene.windowing.set({ width: width + dx, level: level + dy });
    } else if (doing === "pinch" && pointers.size === 2) {
      const now = spreadOf(pointers);
      scene.view.pan(now.x - spread.x, now.y - spread.y);
      scene.view.zoomBy(now.distance / spread.distance, now.x, now.y);
      spread = now;
    }
  });

  const released = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    if (doing === "tool") event.type === "pointerup" ? tool.end(place(event), event) : tool.cancel();
    if (doing !== "pinch" || pointers.size === 0) doing = null;
  };
  element.addEventListener("pointerup", released);
  element.addEventListener("pointercancel", released);
  element.addEventListener("pointerleave", () => hover(null));
  element.addEventListener("contextmenu", (event) => event.preventDefault());
  element.addEventListener("wheel", (event) => {
    event.preventDefault();
    const { x, y } = place(event);
    const turned = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? WHEEL_LINE : 1);
    scene.view.zoomBy(Math.exp(-turned * (event.ctrlKey ? PINCH_SPEED : WHEEL_SPEED)), x, y);
  }, { passive: false });
}

function spreadOf(pointers) {
  const [one, other] = pointers.values();
  return {
    x: (one.x + other.x) / 2,
    y: (one.y + other.y) / 2,
    distance: Math.max(1, Math.hypot(one.x - other.x, one.y - other.y)),
  };
}
