"""Plots of a run: its history, precision against recall, Dice image by image. No radiograph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from infmap_kit.model.spec import DETECTION_THRESHOLD, Anatomy
from infmap_train.data.dataset import Pictures
from infmap_train.evaluation import metrics
from infmap_train.evaluation.calibration import BINS, Reliability

# A share of fewer is noise; they count in the calibration error all the same.
_FEWEST = 10


def save(figures: Mapping[str, Figure], folder: Path) -> list[Path]:
    """Write figures under their names, PNG; the folder is made when missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=110)
    return [folder / name for name in figures]


def draw_history(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the loss and the watched figures, epoch by epoch."""
    figure = new_figure()
    loss_axes, share_axes = figure.subplots(2, 1, sharex=True)
    epochs = [row["epoch"] for row in history]
    loss_axes.plot(epochs, [row["loss"] for row in history], color="black")
    loss_axes.set_ylabel("training loss")
    for key in (name for name in history[0] if name.startswith("watched_")):
        share_axes.plot(epochs, [row[key] for row in history], label=key.removeprefix("watched_"))
    share_axes.set(xlabel="epoch", ylabel="held-back (a tenth)", ylim=(0, 1))
    share_axes.legend(loc="lower right")
    return figure


def draw_precision_recall(curve: metrics.PrecisionRecall, label: str = "") -> Figure:
    """Draw the pixels' curve with the decision threshold's point marked (the paper's Fig. 6)."""
    figure = new_figure()
    axes = figure.subplots()
    axes.plot(curve.recall, curve.precision, color="black", label=label or None)
    precision, recall = curve.at(DETECTION_THRESHOLD)
    axes.plot(recall, precision, "o", color="firebrick")
    axes.annotate(
        f"threshold {DETECTION_THRESHOLD}\nprecision {precision:.3f}, recall {recall:.3f}",
        (recall, precision),
        xytext=(-12, -12),
        textcoords="offset points",
        ha="right",
        va="top",
    )
    axes.set(xlabel="recall (sensitivity)", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    if label:
        axes.legend(loc="lower left")
    return figure


def draw_dice(pictures: Pictures, probability: NDArray[np.float32]) -> Figure:
    """Draw the distribution of the images' Dice coefficients by source; infections on COVID-19 ones alone."""
    figure = new_figure()
    axes = figure.subplots()
    dice = metrics.dice_per_image(pictures.masks, probability)
    sources, masked = pictures.sources, pictures.masked
    for source in sorted(set(sources[masked])):
        chosen = dice[masked & (sources == source)]
        axes.hist(
            chosen,
            bins=20,
            range=(0, 1),
            histtype="step",
            label=f"{source}: {chosen.size} images, mean {chosen.mean():.3f}",
        )
    lungs = pictures.anatomy is Anatomy.LUNGS
    what = "the lungs of an image" if lungs else "a COVID-19 image"
    axes.set(xlabel=f"Dice coefficient of {what}", ylabel="images", xlim=(0, 1))
    axes.legend(loc="upper left")
    return figure


def draw_reliability(counted: Mapping[str, tuple[Reliability, Reliability]]) -> Figure:
    """Draw reliability diagrams before and after a temperature; below them, the count in each bin.

    Parameters
    ----------
    counted
        By what was counted, its reliability before and after.
    """
    figure = new_figure(width=len(counted))
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
                label=f"{when}: expected calibration error {100 * bins.ece:.2f} %",
            )
            centres = (np.arange(BINS) + 0.5) / BINS
            lower.step(centres, np.maximum(bins.count, 0.5), where="mid", color=color)
        upper.set(
            title=f"{what} (bins of {_FEWEST} and more)",
            ylabel="share that is positive",
            xlim=(0, 1),
            ylim=(0, 1),
        )
        upper.legend(loc="lower right", fontsize=8)
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
