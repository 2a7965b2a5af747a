/** The list of results: as many cards as the window shows, whatever the number of results. */

import { chosen } from "./filters.js";
import { percentText, probabilityText } from "./numbers.js";
import { source } from "./source.js";

const CARD = { least: 150, height: 264, gap: 12 }; // two beside each other on a phone of 360 pixels
const SPARE = 2; // rows beyond the window's ends, so that a quick scroll meets cards
const STAYS_MS = 150; // a card that is scrolled past sooner never asks for its picture

export class Gallery {
  /** @param opinions what the reader said, by result, kept up to date by others */
  constructor(section, opinions) {
    this.section = section;
    this.form = section.querySelector("form");
    this.window = section.querySelector(".window");
    this.list = section.querySelector("ul");
    this.count = section.querySelector("output");
    this.opinions = opinions;
    this.all = [];
    this.cards = [];
    this.chosen = 0;
    this.shown = new Map(); // place in the list -> element
    this.window.addEventListener("scroll", () => this.#later(), { passive: true });
    new ResizeObserver(() => this.#resized()).observe(this.window);
    this.form.addEventListener("input", () => this.#filterAnew());
    const more = section.querySelector("#more");
    more.addEventListener("click", () => more.setAttribute("aria-expanded", this.form.classList.toggle("open")));
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("reset", () => setTimeout(() => this.#filterAnew()));
    this.list.addEventListener("focusin", ({ target }) => {
      const place = Number(target.closest("li")?.dataset.place);
      if (!Number.isNaN(place)) this.chosen = place;
    });
  }

  show(cards) {
    this.all = cards;
    this.filter();
  }

  filter() {
    const before = this.cards[this.chosen]?.id;
    this.cards = chosen(this.all, this.form, this.opinions);
    this.chosen = Math.max(this.cards.findIndex((card) => card.id === before), 0);
    const [some, all] = [this.cards.length, this.all.length].map((count) => count.toLocaleString("en"));
    this.count.textContent = some === all ? `${all} results` : `${some} of ${all} results`;
    for (const element of this.shown.values()) element.remove();
    this.shown.clear();
    this.draw();
  }

  /** Another question is answered from the top of its list. */
  #filterAnew() {
    this.window.scrollTop = 0;
    this.filter();
  }

  /** The results before and after one, as they are listed now. */
  beside(id) {
    const place = this.cards.findIndex((card) => card.id === id);
    return { place, before: this.cards[place - 1]?.id, after: place < 0 ? undefined : this.cards[place + 1]?.id };
  }

  /** Move the focus by columns and rows, or to a place. */
  go(place) {
    if (!this.cards.length) return;
    this.chosen = Math.min(Math.max(place, 0), this.cards.length - 1);
    this.#reveal(this.chosen);
    this.draw();
    this.shown.get(this.chosen)?.querySelector("a").focus({ preventScroll: true });
  }

  get columns() {
    return Math.max(1, Math.floor((this.list.clientWidth + CARD.gap) / (CARD.least + CARD.gap)));
  }

  get rowsShown() {
    return Math.max(1, Math.floor(this.window.clientHeight / (CARD.height + CARD.gap)));
  }

  /** Scroll as little as shows a card whole. */
  #reveal(place) {
    const top = Math.floor(place / this.columns) * (CARD.height + CARD.gap);
    const { scrollTop, clientHeight } = this.window;
    const padding = parseFloat(getComputedStyle(this.window).paddingTop);
    const bottom = top + CARD.height + 2 * padding;
    if (top < scrollTop) this.window.scrollTop = top;
    else if (bottom > scrollTop + clientHeight) this.window.scrollTop = bottom - clientHeight;
  }

  #later() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      // A frame may find the window at another size before its observer does.
      if (this.laid?.columns === this.columns) this.draw({ passing: true });
      else this.#resized();
    });
  }

  /** At another size the chosen card stays in view if it was, or else the first row that was. */
  #resized() {
    const [before, { columns }] = [this.laid, this];
    if (!this.list.clientWidth) return; // a result is shown
    const pitch = CARD.height + CARD.gap;
    if (before) {
      const chosenTop = Math.floor(this.chosen / before.columns) * pitch;
      const wasInView = chosenTop + CARD.height > before.top && chosenTop < before.top + before.height;
      // Before it is drawn, so that the card that has the focus is never taken out of the page.
      this.#lengthen();
      if (before.columns !== columns) {
        const kept = wasInView ? this.chosen : Math.round(before.top / pitch) * before.columns;
        this.window.scrollTop = Math.floor(kept / columns) * pitch;
      } else if (wasInView && chosenTop >= this.window.scrollTop + this.window.clientHeight) {
        this.#reveal(this.chosen);
      }
    }
    this.draw();
  }

  #lengthen() {
    const rows = Math.ceil(this.cards.length / this.columns);
    this.list.style.height = `${Math.max(rows * (CARD.height + CARD.gap) - CARD.gap, 0)}px`;
  }

  /** @param passing whether the reader is scrolling, and may not stay */
  draw({ passing = false } = {}) {
    const { columns } = this;
    const added = [];
    const width = (this.list.clientWidth - (columns - 1) * CARD.gap) / columns;
    const pitch = CARD.height + CARD.gap;
    this.#lengthen();
    const { scrollTop, clientHeight } = this.window;
    if (this.list.clientWidth) this.laid = { columns, top: scrollTop, height: clientHeight };
    const first = Math.max(Math.floor(scrollTop / pitch) - SPARE, 0) * columns;
    const end = Math.ceil((scrollTop + clientHeight) / pitch) + SPARE;
    const last = Math.min(end * columns, this.cards.length);
    for (const [place, element] of this.shown) {
      if (place < first || place >= last) {
        element.remove();
        this.shown.delete(place);
      }
    }
    for (let place = first; place < last; place++) {
      let element = this.shown.get(place);
      if (!element) {
        element = this.#card(this.cards[place], place);
        // In the order of the list, for readers of the page and the Tab key.
        const after = [...this.shown.keys()].filter((other) => other > place);
        this.list.insertBefore(element, after.length ? this.shown.get(Math.min(...after)) : null);
        this.shown.set(place, element);
        added.push(element);
      }
      const left = (place % columns) * (width + CARD.gap);
      element.style.width = `${width}px`;
      element.style.transform = `translate(${left}px, ${Math.floor(place / columns) * pitch}px)`;
    }
    if (passing) setTimeout(askForPictures, STAYS_MS, added);
    else askForPictures(added);
  }

  #card(card, place) {
    const element = document.createElement("li");
    element.dataset.place = place;
    element.setAttribute("aria-setsize", this.cards.length);
    element.setAttribute("aria-posinset", place + 1);
    const link = document.createElement("a");
    link.href = `#${card.id}`;
    const thumbnail = document.createElement("span");
    thumbnail.className = "thumbnail";
    if (card.has_picture) thumbnail.dataset.picture = source.thumbnail(card.id);
    else thumbnail.textContent = card.rejected ? "rejected" : "no picture";
    link.append(thumbnail, line("name", card.source), line("what", sentenceOf(card)), badges(card, this.opinions[card.id]));
    link.title = card.source;
    element.append(link);
    return element;
  }
}

/** In the place that a card keeps for its picture, where the card is still listed. */
function askForPictures(cards) {
  for (const card of cards) {
    const place = card.isConnected && card.querySelector("[data-picture]");
    if (place) place.replaceWith(Object.assign(new Image(), { className: place.className, alt: "", src: place.dataset.picture }));
  }
}

function sentenceOf(card) {
  if (card.rejected) return card.rejected.reason;
  const of = card.severity_of === "lungs" ? "of the lungs" : "of the picture";
  const grade = card.grade ? `, ${card.grade}` : "";
  const highest = probabilityText(card.probability_max, card.threshold);
  return `${percentText(card.severity_percent, card.cut_offs)} ${of}${grade}; highest probability ${highest}`;
}

function badges(card, stated) {
  const row = document.createElement("span");
  row.className = "badges";
  const add = (text, kind) => row.append(line(`badge ${kind}`, text));
  if (card.rejected) add("rejected", "bad");
  else add(card.detected ? card.words : card.words_not, card.detected ? "found" : "");
  if (card.agrees === false) add("classifier differs", "bad");
  if (card.warnings?.length) add(card.warnings.length > 1 ? `${card.warnings.length} warnings` : "warning", "warned");
  if (stated?.mark) add(stated.mark === "agree" ? "✓ agree" : "✗ disagree", "");
  if (stated?.note) add("note", "");
  return row;
}

function line(kind, text) {
  const piece = document.createElement("span");
  piece.className = kind;
  piece.textContent = text;
  return piece;
}
