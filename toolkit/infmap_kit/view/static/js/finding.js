/** What is said of a result, in plain words; its severity follows the threshold. */

import { percentText, probabilityText, thresholdText } from "./numbers.js";
import { isSquare } from "./scale.js";

const FAR = 0.1; // percentage points between what was served and what the page counts

const capital = (words) => words[0].toUpperCase() + words.slice(1);

/** @returns what to call when the threshold moved */
export function findingIn(section, { result, probability }) {
  const pieces = [];
  const add = (name, text, kind = "") => {
    const piece = document.createElement(name);
    piece.textContent = text;
    piece.className = kind;
    pieces.push(piece);
    return piece;
  };
  const facts = () => {
    const list = add("dl", "");
    return (name, value, kind) => {
      const row = document.createElement("div");
      const [term, words] = [document.createElement("dt"), document.createElement("dd")];
      [term.textContent, words.textContent, words.className] = [name, value, kind ?? ""];
      row.append(term, words);
      list.append(row);
      return words;
    };
  };
  let follow = () => {};
  if (result.rejected) {
    add("h2", "Rejected");
    add("p", result.rejected.reason);
    add("p", `Reason: ${result.rejected.code}. No model was asked about it.`, "soft");
  } else {
    const threshold = thresholdText(result.threshold, 1);
    const highest = probabilityText(result.probability_max, result.threshold);
    add("h2", result.finding);
    add("p", result.detected
      ? `${capital(result.words)}: the threshold of ${threshold} is reached.`
      : `No region reached the threshold of ${threshold}; highest probability ${highest}. `
        + "This does not exclude disease.", "verdict");
    const of = result.severity_of === "lungs" ? "lungs" : "picture";
    const row = facts();
    const live = row("Severity at the threshold", "", "large");
    live.id = "live";
    row(`Served, of the ${of}`, percentText(result.severity_percent, result.cut_offs) + (result.grade ? `, ${result.grade}` : "")).id = "served";
    for (const [side, value] of Object.entries(result.lungs)) {
      row(`${capital(side)} lung`, value === null ? "not found" : percentText(value));
    }
    row("Highest probability", highest);
    if (result.classifier !== null) {
      const differs = result.agrees === false ? ", differs from the map" : "";
      row("Classifier", probabilityText(result.classifier, result.threshold) + differs, differs && "bad");
    }
    if (result.taken) row(result.taken_is_shifted ? "Taken (moved in time)" : "Taken", result.taken.replace("T", " "));
    row("Written", result.written.slice(0, 16).replace("T", " "));
    if (result.patient) row("Patient", result.patient);
    row("Model", result.model);
    follow = (at) => {
      live.textContent = probability ? `${percentText(probability.severity(at), result.cut_offs)} of the ${of}` : "not kept";
      live.previousSibling.textContent = probability ? `Severity at ${thresholdText(at)}` : "Severity at other thresholds";
    };
    if (Object.keys(result.lungs).length && !result.sides_stated) {
      add("p", "The file does not state the sides: the patient's right is taken to be on the left of the image.", "soft");
    }
    if (!isSquare(result.spacing_mm)) {
      const { across, down } = result.spacing_mm;
      add("p", `The pixels are not square, but shown so: they measure ${across} mm across by ${down} mm down. `
        + "The scale holds across only.", "warned");
    }
    if (!probability) {
      add("p", "The probabilities and the radiograph were not kept: `infmap-kit infer --format png,json,view` keeps "
        + "them, so that the threshold, the window and the opacity can be moved.", "soft");
    }
    const kept = probability?.severity(result.threshold) ?? result.severity_percent;
    if (Math.abs(kept - result.severity_percent) > FAR) {
      add("p", `The probabilities that were kept give ${percentText(kept, result.cut_offs)} at the model's threshold and not what it said: `
        + "they may be another result's. Run infer again.", "warned");
    }
    for (const { code, text } of result.warnings) add("p", text || code, "warned");
    for (const note of result.notes) add("p", note, "soft");
  }
  section.replaceChildren(...pieces);
  return follow;
}
