"""Sheets as the paper's Fig. 7: radiograph, truth, activation map, infection map.

They show radiographs, and are written to the folder that the user names alone.
"""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from infmap_kit.imaging.colour import infection_map
from infmap_kit.model.spec import DETECTION_THRESHOLD
from infmap_kit.report.numbers import shown_probability
from infmap_train.evaluation import plots
from infmap_train.studies.predictions import Predictions

_ROWS = 6
# A longer name would run into the next picture's title.
_NAME_CHARACTERS = 34
_NETWORK_CHARACTERS = 36
_TITLES = ("radiograph", "true mask (green), lungs (white)", "activation map", "infection map")


def write_sheets(predictions: Predictions, folder: Path, *, cases: int) -> list[Path]:
    """Draw ``cases`` radiographs, six a sheet, as ``sheet-1.png`` and so on.

    They are chosen evenly from the smallest infection to the largest, whatever the maps are like.
    """
    rows = spread_rows(predictions, cases)
    written = []
    for number, start in enumerate(range(0, len(rows), _ROWS), start=1):
        path = folder / f"sheet-{number}.png"
        _draw(predictions, rows[start : start + _ROWS]).savefig(path, dpi=90)
        written.append(path)
    return written


def spread_rows(predictions: Predictions, cases: int) -> list[int]:
    """Rows of that many radiographs, from the smallest true infection to the largest."""
    order = np.argsort(predictions.pictures.masks.sum(axis=(1, 2)), kind="stable")
    places = np.linspace(0, len(order) - 1, min(cases, len(order))).round().astype(int)
    return [int(order[place]) for place in places]


def _draw(predictions: Predictions, rows: list[int]) -> Figure:
    columns = len(_TITLES) + len(predictions.others)
    figure = plots.new_figure(inches=(2.6 * columns, 2.85 * len(rows)))
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, row in zip(grid, rows, strict=True):
        picture = predictions.pictures.images[row]
        plain = np.repeat(picture[..., np.newaxis], 3, axis=2)
        sample = predictions.pictures.samples[row]
        shown = (
            (plain, sample.name[:_NAME_CHARACTERS]),
            (plain, _TITLES[1]),
            (
                infection_map(picture, predictions.activation[row]),
                f"{_TITLES[2]}, COVID-19 {_shown(predictions.probability[row])}",
            ),
            (
                infection_map(picture, predictions.infection[row]),
                f"{_TITLES[3]}, up to {_shown(predictions.infection[row].max())}",
            ),
            # Activation maps first, as in the paper's figure.
            *(
                (infection_map(picture, maps[row]), _folded(label))
                for label, maps in sorted(predictions.others.items())
            ),
        )
        for axes, (image, title) in zip(line, shown, strict=True):
            axes.imshow(image)
            axes.set_title(title, fontsize=7)
            axes.set_axis_off()
        _outline(line[1], predictions.lungs[row], "white")
        _outline(line[1], predictions.pictures.masks[row], "lime")
    plots.add_colour_bar(figure, "activation relative to its peak, or probability of infection")
    return figure


def _shown(probability: float) -> str:
    return shown_probability(float(probability), DETECTION_THRESHOLD)


def _folded(label: str) -> str:
    """The label of a further run's maps above its network's name, which is wrapped to the picture's width."""
    what, _, network = label.partition(", ")
    return f"{what}\n{textwrap.fill(network, _NETWORK_CHARACTERS)}"


def _outline(axes: Axes, mask: np.ndarray, colour: str) -> None:
    if mask.any():
        axes.contour(mask, levels=[0.5], colors=colour, linewidths=0.8)
