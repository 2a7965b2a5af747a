/** The pictures of an item: fetched and decoded once, kept while they may be needed. */

import { call } from "./api.js";
import { pathOf } from "./outline.js";

const worker = new Worker(new URL("decoder.js", import.meta.url), { type: "module" });
const waiting = new Map();
let lastId = 0;

worker.onmessage = ({ data: { id, result, error } }) => {
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  if (error) reject(new Error(error));
  else resolve(result);
};

function decode(blob, width, height, want) {
  return new Promise((resolve, reject) => {
    waiting.set(++lastId, { resolve, reject });
    worker.postMessage({ id: lastId, blob, width, height, want });
  });
}

async function fetched(url, item, want) {
  const blob = await (await call("GET", url)).blob();
  return decode(blob, item.width, item.height, want);
}

/** (height * width) bytes of a candidate's mask, 0 or 255. */
export function maskPixels(item, slot) {
  const candidate = item.candidates.find((one) => one.slot === slot);
  return fetched(candidate.mask, item, "gray");
}

/** (height * width) bytes of the radiograph. */
export function radiographPixels(item) {
  return fetched(item.image, item, "gray");
}

const KEPT = 4; // the one before (for undo), the present one, the next, and one to spare
const kept = new Map();

/**
 * Radiograph and outlines of an item: `{ gray, masks: [{ slot, path, share }] }`.
 *
 * The second call for the same item costs nothing; a failed one may be repeated.
 */
export function picturesOf(item) {
  const known = kept.get(item.item);
  kept.delete(item.item);
  const pictures = known ?? load(item);
  kept.set(item.item, pictures);
  pictures.catch(() => kept.delete(item.item));
  for (const id of kept.keys()) {
    if (kept.size <= KEPT) break;
    kept.delete(id);
  }
  return pictures;
}

async function load(item) {
  const masks = item.candidates.map(async ({ slot, mask }) => {
    const { lines, marked } = await fetched(mask, item, "outline");
    return { slot, path: pathOf(lines), share: marked / (item.width * item.height) };
  });
  const [gray, ...marked] = await Promise.all([radiographPixels(item), ...masks]);
  return { gray, masks: marked };
}
