/** One result, loaded: what its JSON says, its radiograph, its probabilities. */

import { Paint } from "./paint.js";
import { grayOf } from "./png.js";
import { Probability } from "./probability.js";
import { Radiograph } from "./radiograph.js";
import { source } from "./source.js";

const OTHER = "The result cannot be shown: its size is not that of its";

/** @returns `{ result, radiograph, probability, paint, map, size }`; what there is no picture of is null */
export async function studyOf(id) {
  const result = await source.result(id);
  const has = (kind) => result.pictures?.includes(kind);
  const gray = async (kind) => (has(kind) ? grayOf(await source.picture(result, kind)) : null);
  const [film, steps, lungs] = await Promise.all(["radiograph", "probability", "lungs"].map(gray));
  if (film && (film.width !== result.width || film.height !== result.height)) throw new Error(`${OTHER} radiograph`);
  if (lungs && (lungs.width !== steps?.width || lungs.height !== steps?.height)) throw new Error(`${OTHER} lungs`);
  const radiograph = film && new Radiograph(film);
  // Without the radiograph there is the map alone, as it was painted.
  const map = !radiograph && has("infection_map") ? await picture(source.map(result)) : null;
  const size = radiograph ?? (map && { width: map.naturalWidth, height: map.naturalHeight });
  const probability = steps && new Probability(steps, lungs);
  return { result, radiograph, probability, paint: probability && new Paint(probability, result.overlay), map, size };
}

async function picture(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}
