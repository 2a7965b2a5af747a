/**
 * The keyboard: one table is what the keys do and what the help says.
 *
 * A row is `{ keys, text, does, also }`: `keys` are `KeyboardEvent.key` values, with "Ctrl+" and "Shift+" before
 * them where needed; `does(key)` is called; `repeats: true` where holding the key down may go on.
 */

const PLAIN = "infmap.keys.off"; // set when keys without Ctrl are switched off (WCAG 2.1.4)

/** Listen for the rows' keys. */
export function listen(rows, enabled = () => true) {
  const does = new Map(rows.flatMap((row) => row.keys.map((key) => [key, row])));
  document.addEventListener("keydown", (event) => {
    // Enter held down on a focused button would press it again and again.
    if (event.repeat && event.key === "Enter") event.preventDefault();
    const name = nameOf(event);
    const row = does.get(name);
    if (!row || event.defaultPrevented || !mayAct(event, name) || !enabled()) return;
    event.preventDefault();
    if (!event.repeat || row.repeats) row.does(name);
  });
  document.addEventListener("keyup", (event) => does.get(nameOf(event))?.released?.());
  // Whoever changes to another window with a key down lets it go there.
  window.addEventListener("blur", () => rows.forEach((row) => row.released?.()));
}

function nameOf(event) {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  // Shift is part of "?" and "+" already; of letters and named keys it is not.
  const shift = event.shiftKey && (key.length > 1 || /[a-z]/.test(key)) ? "Shift+" : "";
  const ctrl = (event.ctrlKey || event.metaKey) && !withAltGr(event) ? "Ctrl+" : "";
  return ctrl + shift + (key === " " ? "Space" : key);
}

/** Many layouts have brackets behind AltGr, which some systems report as Ctrl and Alt. */
function withAltGr(event) {
  return event.getModifierState("AltGraph");
}

function mayAct(event, name) {
  if ((event.altKey && !withAltGr(event)) || document.querySelector("dialog[open]")) return false;
  const { target } = event;
  const types = target.matches?.("input:not([type=range], [type=checkbox]), textarea, select");
  if (types) return false;
  // Sliders and buttons keep the keys that work them.
  if (/Arrow|Home|End|Page/.test(name) && target.matches?.("input[type=range]")) return false;
  if (/^(Enter|Space)$/.test(name) && target.matches?.("button, a[href], input, summary")) return false;
  return name.startsWith("Ctrl+") || name.length > 1 || !localStorage[PLAIN];
}

const SHOWN = {
  ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Enter: "Enter", Escape: "Esc",
};

/** Fill the help dialog's table, and let the "?" button and key open it. */
export function help(rows) {
  const dialog = document.getElementById("help");
  const body = dialog.querySelector("tbody");
  for (const row of rows) {
    const line = body.insertRow();
    const head = document.createElement("th");
    head.scope = "row";
    row.shown.split(" ").forEach((part) => {
      const plain = ["to", "or"].includes(part);
      const piece = document.createElement(plain ? "span" : "kbd");
      piece.textContent = SHOWN[part] ?? part;
      head.append(piece, " ");
    });
    line.append(head);
    line.insertCell().textContent = row.text;
  }
  const plain = dialog.querySelector("input[type=checkbox]");
  plain.checked = !localStorage[PLAIN];
  plain.addEventListener("change", () => {
    if (plain.checked) delete localStorage[PLAIN];
    else localStorage[PLAIN] = "yes";
  });
  const open = () => dialog.showModal();
  document.getElementById("help-button").addEventListener("click", open);
  return open;
}
