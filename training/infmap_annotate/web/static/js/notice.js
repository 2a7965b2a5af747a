/** What the page tells the reader: short words that pass, and messages that stay until they are dealt with. */

import { tryNow } from "./api.js";

const toast = document.getElementById("toast");
const notice = document.getElementById("notice");
const SHOWN_MS = 4000;
const NEXT = "infmap.said";
let timer;

// Above the tools, however many lines they take.
const tools = document.querySelector(".tools");
new ResizeObserver(() => toast.style.setProperty("bottom", `${tools.offsetHeight + 12}px`)).observe(tools);

/** Say it, shortly; read out by screen readers. */
export function say(text) {
  clearTimeout(timer);
  toast.textContent = text;
  toast.classList.add("shown");
  timer = setTimeout(() => toast.classList.remove("shown"), SHOWN_MS);
}

/** Say it on the page that comes next. */
export function sayNext(text) {
  sessionStorage[NEXT] = text;
}

/** What an earlier page wanted said. */
export function sayLeft() {
  if (sessionStorage[NEXT]) say(sessionStorage[NEXT]);
  delete sessionStorage[NEXT];
}

/**
 * Say it until it is closed or `clear` is called.
 *
 * @param actions `[{ label, does }]` or `[{ label, href }]`; without any, a button closes it
 */
export function tell(text, actions = [{ label: "Close", does: clear }]) {
  const words = document.createElement("p");
  words.textContent = text;
  const pieces = actions.map(({ label, does, href }) => {
    const piece = document.createElement(href ? "a" : "button");
    piece.textContent = label;
    if (href) Object.assign(piece, { href, target: "_blank", className: "button" });
    else Object.assign(piece, { type: "button", onclick: does });
    return piece;
  });
  notice.replaceChildren(words, ...pieces);
  notice.hidden = false;
}

export function clear() {
  notice.hidden = true;
  notice.replaceChildren();
}

/** For `deliver`: what is said while something waits to be sent. */
export function troubleWith(what) {
  let told = "";
  return {
    waiting({ signedOut, message }) {
      const text = signedOut
        ? `You are signed out. ${what} is kept on this page and not saved yet: sign in in another tab, and `
          + "come back."
        : `${what} is kept on this page and not saved yet. ${message} Trying again.`;
      if (text === told) return; // a screen reader should not hear it at every try
      told = text;
      const actions = [{ label: "Try now", does: tryNow }];
      if (signedOut) actions.unshift({ label: "Sign in", href: "/sign-in" });
      tell(text, actions);
    },
    over() {
      if (told) clear();
      told = "";
    },
  };
}
