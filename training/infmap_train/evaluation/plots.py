"""Plots of a run: its history, precision against recall, Dice image by image. No radiograph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from infmap_kit.imaging.colour import colour_table
from infmap_kit.model.spec import DETECTION_THRESHOLD, Anatomy
from infmap_train.data.dataset import Pictures
from infmap_train.evaluation import metrics
from infmap_train.evaluation.calibration import BINS, Reliability

# A share of fewer is noise; they count in the calibration error all the same.
_FEWEST = 10
_LEGEND_LINE_INCHES = 0.2
_NAME_CHARACTERS = 34


def save(figures: Mapping[str, Figure], folder: Path) -> list[Path]:
    """Write figures under their names, PNG; the folder is made when missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=110)
    return [folder / name for name in figures]


def draw_history(history: Sequence[Mapping[str, Any]], watched: str) -> Figure:
    """Draw the loss and the watched figures, epoch by epoch; ``watched`` says on what."""
    figure = new_figure(width=1.3)
    loss_axes, share_axes = figure.subplots(2, 1, sharex=True)
    epochs = [row["epoch"] for row in history]
    # A training of one epoch is a point.
    style = "o-" if len(history) == 1 else "-"
    loss_axes.plot(epochs, [row["loss"] for row in history], style, color="black")
    loss_axes.set_ylabel("training loss")
    for key in (name for name in history[0] if name.startswith("watched_")):
        values = [np.nan if row[key] is None else row[key] for row in history]
        share_axes.plot(epochs, values, style, label=key.removeprefix("watched_"))
    share_axes.set(xlabel="epoch", ylim=(-0.02, 1.02))
    share_axes.set_ylabel(f"share on\n{watched}")
    # One tick will do, or a single epoch would stand between fractions of one.
    share_axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    legend_beside(share_axes)
    return figure


def legend_beside(axes: Axes) -> None:
    """Put the legend to the right of the curves, where it hides none."""
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)


def _height_for_legend(lines: int) -> float:
    """The factor by which a plot is higher than usual, so that so many lines stand beside it."""
    return max(1.0, (lines * _LEGEND_LINE_INCHES + 0.5) / 4.4)


def _short(name: str) -> str:
    """Shorten a source's name so that there is room for the curves."""
    return name if len(name) <= _NAME_CHARACTERS else f"{name[: _NAME_CHARACTERS - 1]}…"


def add_colour_bar(figure: Figure, label: str) -> None:
    """Add the scale of infection and activation maps below all pictures of a sheet."""
    colours = ListedColormap(colour_table() / 255)
    figure.colorbar(
        ScalarMappable(Normalize(0, 1), colours),
        ax=figure.axes,
        location="bottom",
        fraction=0.02,
        aspect=60,
        label=label,
    )


def draw_precision_recall(curve: metrics.PrecisionRecall, label: str = "") -> Figure:
    """Draw the pixels' curve with the decision threshold's point marked (the paper's Fig. 6)."""
    return draw_precision_recalls({label: curve})


def draw_precision_recalls(curves: Mapping[str, metrics.PrecisionRecall]) -> Figure:
    """Draw the pixels' curves of several networks, with the decision threshold's points (the paper's Fig. 6).

    Parameters
    ----------
    curves
        By the network's label; one without a label has no legend.
    """
    labelled = any(curves)
    figure = new_figure(width=1.6 if labelled else 1.0, height=_height_for_legend(2 * len(curves)))
    axes = figure.subplots()
    for number, (label, curve) in enumerate(curves.items()):
        color = "black" if len(curves) == 1 else f"C{number % 10}"
        precision, recall = curve.at(DETECTION_THRESHOLD)
        at = f"at {DETECTION_THRESHOLD}: precision {precision:.3f}, recall {recall:.3f}"
        # More networks than colours are told apart by their lines.
        style = ("-", "--", ":")[number // 10 % 3]
        axes.plot(curve.recall, curve.precision, style, color=color, label=f"{label}\n{at}".strip())
        axes.plot(recall, precision, "o", color="firebrick" if len(curves) == 1 else color)
    axes.set(xlabel="recall (sensitivity)", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    if labelled:
        legend_beside(axes)
    else:
        axes.set_title(at, fontsize=10)
    return figure


def draw_dice(pictures: Pictures, probability: NDArray[np.float32]) -> Figure:
    """Draw the distribution of the images' Dice coefficients by source; infections on COVID-19 ones alone."""
    dice = metrics.dice_per_image(pictures.masks, probability)
    sources, masked = pictures.sources, pictures.masked
    drawn = sorted(set(sources[masked]))
    figure = new_figure(width=1.5, height=_height_for_legend(2 * len(drawn)))
    axes = figure.subplots()
    for source in drawn:
        chosen = dice[masked & (sources == source)]
        axes.hist(
            chosen,
            bins=20,
            range=(0, 1),
            histtype="step",
            label=f"{_short(source) or 'all'}:\n{chosen.size} images, mean {chosen.mean():.3f}",
        )
    lungs = pictures.anatomy is Anatomy.LUNGS
    what = "the lungs of an image" if lungs else "a COVID-19 image"
    axes.set(xlabel=f"Dice coefficient of {what}", ylabel="images", xlim=(0, 1))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    legend_beside(axes)
    return figure


def draw_reliability(counted: Mapping[str, tuple[Reliability, Reliability]]) -> Figure:
    """Draw reliability diagrams before and after a temperature; below them, the count in each bin.

    Parameters
    ----------
    counted
        By what was counted, its reliability before and after.
    """
    figure = new_figure(width=1.4 * len(counted))
    axes = np.reshape(
        figure.subplots(2, len(counted), sharex=True, height_ratios=(3, 1)), (2, len(counted))
    )
    for (upper, lower), (what, pair) in zip(axes.T, counted.items(), strict=True):
        upper.plot((0, 1), (0, 1), color="lightgray", linewidth=1)
        styles = (("before", "firebrick"), ("after", "black"))
        for (when, color), bins in zip(styles, pair, strict=True):
            # A bin that is not drawn interrupts the line: nothing was seen between its neighbours.
            drawn = bins.count >= _FEWEST
            upper.plot(
                np.where(drawn, bins.predicted, np.nan),
                np.where(drawn, bins.actual, np.nan),
                "o-",
                color=color,
                markersize=4,
                label=f"{when}: error {100 * bins.ece:.2f} %",
            )
            centres = (np.arange(BINS) + 0.5) / BINS
            lower.step(centres, np.maximum(bins.count, 0.5), where="mid", color=color)
        upper.set(
            title=f"{what} (bins of {_FEWEST} and more), expected calibration error",
            ylabel="share that is positive",
            xlim=(0, 1),
            ylim=(0, 1),
        )
        legend_beside(upper)
        lower.set(xlabel="mean probability of a bin", ylabel="count", yscale="log")
    return figure


def new_figure(
    width: float = 1.0, height: float = 1.0, *, inches: tuple[float, float] = (6.4, 4.4)
) -> Figure:
    """Make an empty figure, so many times as wide and high as ``inches``, the size of a plot alone."""
    # Without pyplot nothing global is touched and no window system is asked for.
    figure = Figure(figsize=(width * inches[0], height * inches[1]), layout="constrained")
    FigureCanvasAgg(figure)
    return figure
