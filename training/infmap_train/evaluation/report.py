"""An evaluation as files: tables beside the paper's, curves, Dice by image, the worst cases.

The sheet of worst cases shows radiographs: it is written to the folder that the user names, and
never into a run folder.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from infmap_kit.imaging.colour import infection_map
from infmap_kit.model.files import write_json
from infmap_kit.model.spec import DETECTION_THRESHOLD, Anatomy
from infmap_kit.report.numbers import shown_probability
from infmap_train.data.output import json_ready, write_csv
from infmap_train.evaluation import metrics, plots, tables
from infmap_train.evaluation.evaluate import Evaluation

_COLUMNS = 4
_NAME_CHARACTERS = 40


def write_report(evaluation: Evaluation, folder: Path, *, worst: int = 12) -> list[Path]:
    """Write all files of an evaluation.

    Parameters
    ----------
    evaluation
        The result of ``evaluate``.
    folder
        Made when missing; gets ``metrics.json``, ``tables.md``, ``.csv`` and ``.tex``,
        ``images.csv``, ``precision_recall.png``, ``dice.png`` and ``worst_cases.png``.
    worst
        Number of cases on the sheet; 0 for none.

    Returns
    -------
    list
        The files.
    """
    pictures, probability = evaluation.pictures, evaluation.probability
    dice = metrics.dice_per_image(pictures.masks, probability)
    write_json(folder / "metrics.json", json_ready(evaluation.report))
    _write_images(evaluation, dice, folder / "images.csv")
    made = tables.evaluation_tables(evaluation.network, evaluation.report)
    figures = {
        "precision_recall.png": plots.draw_precision_recall(
            metrics.precision_recall(pictures.masks, probability), evaluation.network.label
        ),
        "dice.png": plots.draw_dice(pictures, probability),
    }
    if worst:
        figures["worst_cases.png"] = _draw_worst(evaluation, dice, worst)
    return [
        folder / "metrics.json",
        folder / "images.csv",
        *tables.write(made, folder, "tables"),
        *plots.save(figures, folder),
    ]


def worst_rows(evaluation: Evaluation, dice: NDArray[np.float64], count: int) -> list[int]:
    """Rows with the lowest Dice; among equals, most wrongly decided pixels first.

    Half of them have a mask, so that normal radiographs with a false alarm, which all have a Dice of 0, do not
    hide the infections that were missed.
    """
    infected = evaluation.probability >= DETECTION_THRESHOLD
    wrong = (infected != (evaluation.pictures.masks > 0)).sum(axis=(1, 2))
    order = np.lexsort((-wrong, dice))
    masked = order[evaluation.pictures.masked[order]]
    others = order[~evaluation.pictures.masked[order]]
    of_others = min(count // 2, others.size)
    chosen = [*masked[: count - of_others], *others[:of_others]]
    # Where there are too few of one kind, the other fills the sheet.
    chosen += [row for row in order if row not in chosen][: count - len(chosen)]
    return [int(row) for row in chosen]


def _write_images(evaluation: Evaluation, dice: NDArray[np.float64], path: Path) -> None:
    # By a lung nothing is detected.
    detects = evaluation.pictures.anatomy is Anatomy.INFECTION
    predicted = evaluation.probability >= DETECTION_THRESHOLD
    rows = [
        (
            sample.name,
            int(sample.covid),
            *((int(predicted[row].any()),) if detects else ()),
            f"{evaluation.probability[row].max():.4f}",
            f"{dice[row]:.4f}",
            (evaluation.pictures.masks[row] > 0).sum(),
            predicted[row].sum(),
        )
        for row, sample in enumerate(evaluation.pictures.samples)
    ]
    columns = ("name", "covid", *(("detected",) if detects else ()))
    write_csv(path, (*columns, "probability_max", "dice", "pixels_true", "pixels_found"), rows)


def _draw_worst(evaluation: Evaluation, dice: NDArray[np.float64], count: int) -> Figure:
    """Radiograph and infection map side by side, the true mask outlined on both."""
    rows = worst_rows(evaluation, dice, count)
    lines = -(-len(rows) // _COLUMNS)
    figure = plots.new_figure(width=2.5, height=0.5 * lines)
    for axes, row in zip(np.ravel(figure.subplots(lines, _COLUMNS)), rows, strict=False):
        picture = evaluation.pictures.images[row]
        painted = infection_map(picture, evaluation.probability[row])
        plain = np.repeat(picture[..., np.newaxis], 3, axis=2)
        axes.imshow(np.concatenate([plain, painted], axis=1))
        mask = evaluation.pictures.masks[row]
        if mask.any():
            axes.contour(np.tile(mask, 2), levels=[0.5], colors="lime", linewidths=0.8)
        sample = evaluation.pictures.samples[row]
        axes.set_title(f"{sample.name[:_NAME_CHARACTERS]}\n{_said(evaluation, row)}", fontsize=7)
    for axes in figure.axes:
        axes.set_axis_off()
    plots.add_colour_bar(figure, "probability; the true mask is outlined in green")
    return figure


def _said(evaluation: Evaluation, row: int) -> str:
    mask = evaluation.pictures.masks[row]
    probability = evaluation.probability[row]
    found = bool((probability >= DETECTION_THRESHOLD).any())
    highest = shown_probability(float(probability.max()), DETECTION_THRESHOLD)
    dice = metrics.dice_per_image(mask[np.newaxis], probability[np.newaxis])[0]
    if mask.any():
        return f"Dice {dice:.2f}" if found else f"missed, up to {highest}"
    return f"false alarm, up to {highest}" if found else "rightly nothing"
