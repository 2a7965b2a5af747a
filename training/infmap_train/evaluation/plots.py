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

_SIZE_INCHES = (6.4, 4.4)

# A share of fewer is noise; they count in the calibration error all the same.
_FEWEST = 10


def draw(
    folder: Path,
    *,
    history: Sequence[Mapping[str, Any]],
    held_back: Pictures,
    probability: NDArray[np.float32],
) -> list[Path]:
    """Draw all plots of a run.

    Parameters
    ----------
    folder
        Made when missing.
    history
        One row an epoch.
    held_back, probability
        The held-back pictures and the network's (N, 224, 224) answer.

    Returns
    -------
    list
        The PNG files.
    """
    figures = {
        "history.png": draw_history(history),
        "precision_recall.png": draw_precision_recall(
            metrics.precision_recall(held_back.masks, probability)
        ),
        "dice.png": draw_dice(held_back, probability),
    }
    return save(figures, folder)


def save(figures: Mapping[str, Figure], folder: Path) -> list[Path]:
    """Write figures under their names, PNG; the folder is made when missing."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=110)
    return [folder / name for name in figures]


def draw_history(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Loss and the watched figures, epoch by epoch."""
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
    """Distribution of the images' Dice coefficients, by source; of infections COVID-19 ones alone."""
    figure = new_figure()
    axes = figure.subplots()
    dice = metrics.dice_per_image(pictures.masks, probability)
    sources = np.array([s.source for s in pictures.samples])
    lungs = pictures.anatomy is Anatomy.LUNGS
    masked = np.ones_like(pictures.covid) if lungs else pictures.covid
    for source in sorted(set(sources[masked])):
        chosen = dice[masked & (sources == source)]
        axes.hist(
            chosen,
            bins=20,
            range=(0, 1),
            histtype="step",
            label=f"{source}: {chosen.size} images, mean {chosen.mean():.3f}",
        )
    what = "the lungs of an image" if lungs else "a COVID-19 image"
    axes.set(xlabel=f"Dice coefficient of {what}", ylabel="images", xlim=(0, 1))
    axes.legend(loc="upper left")
    return figure


def draw_reliability(counted: Mapping[str, tuple[Reliability, Reliability]]) -> Figure:
    """Reliability diagrams before and after a temperature; below, how much falls into each bin.

    Parameters
    ----------
    counted
        What was counted, and its reliability before and after.
    """
    figure = new_figure(width=len(counted))
    axes = np.reshape(
        figure.subplots(2, len(counted), sharex=True, height_ratios=(3, 1)), (2, len(counted))
    )
    for (upper, lower), (what, pair) in zip(axes.T, counted.items(), strict=True):
        upper.plot((0, 1), (0, 1), color="lightgray", linewidth=1)
        for when, one, color in zip(("before", "after"), pair, ("firebrick", "black"), strict=True):
            # A bin that is not drawn interrupts the line: nothing was seen between its neighbours.
            said, found = (np.where(one.count >= _FEWEST, x, np.nan) for x in (one.said, one.found))
            upper.plot(
                *(said, found, "o-"),
                color=color,
                markersize=4,
                label=f"{when}: expected calibration error {100 * one.ece:.2f} %",
            )
            centres = (np.arange(BINS) + 0.5) / BINS
            lower.step(centres, np.maximum(one.count, 0.5), where="mid", color=color)
        upper.set(
            title=f"{what} (bins of {_FEWEST} and more)",
            ylabel="share that is positive",
            xlim=(0, 1),
            ylim=(0, 1),
        )
        upper.legend(loc="lower right", fontsize=8)
        lower.set(xlabel="mean probability of a bin", ylabel="count", yscale="log")
    return figure


def new_figure(width: float = 1.0, height: float = 1.0) -> Figure:
    """An empty figure, so many times as wide and high as a plot alone."""
    # Without pyplot nothing global is touched and no window system is asked for.
    size = (width * _SIZE_INCHES[0], height * _SIZE_INCHES[1])
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
