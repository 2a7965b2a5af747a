"""Plots of a run: its history, precision against recall, Dice image by image. No radiograph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from infmap_kit.spec import DETECTION_THRESHOLD
from infmap_train import metrics
from infmap_train.data import Pictures

_SIZE_INCHES = (6.4, 4.4)


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
    folder.mkdir(parents=True, exist_ok=True)
    figures = {
        "history.png": draw_history(history),
        "precision_recall.png": draw_precision_recall(
            metrics.precision_recall(held_back.masks, probability)
        ),
        "dice.png": draw_dice(held_back, probability),
    }
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=110)
    return [folder / name for name in figures]


def draw_history(history: Sequence[Mapping[str, Any]]) -> Figure:
    """Loss and the watched figures, epoch by epoch."""
    figure = _figure()
    loss_axes, share_axes = figure.subplots(2, 1, sharex=True)
    epochs = [row["epoch"] for row in history]
    loss_axes.plot(epochs, [row["loss"] for row in history], color="black")
    loss_axes.set_ylabel("training loss")
    for key in ("watched_f1", "watched_sensitivity", "watched_specificity"):
        share_axes.plot(epochs, [row[key] for row in history], label=key.removeprefix("watched_"))
    share_axes.set(xlabel="epoch", ylabel="held-back (a tenth)", ylim=(0, 1))
    share_axes.legend(loc="lower right")
    return figure


def draw_precision_recall(curve: metrics.PrecisionRecall, label: str = "") -> Figure:
    """Draw the pixels' curve with the decision threshold's point marked (the paper's Fig. 6)."""
    figure = _figure()
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
    """Distribution of the COVID-19 images' Dice coefficients, by source."""
    figure = _figure()
    axes = figure.subplots()
    dice = metrics.dice_per_image(pictures.masks, probability)
    sources = np.array([s.source for s in pictures.samples])
    for source in sorted(set(sources[pictures.covid])):
        chosen = dice[pictures.covid & (sources == source)]
        axes.hist(
            chosen,
            bins=20,
            range=(0, 1),
            histtype="step",
            label=f"{source}: {chosen.size} images, mean {chosen.mean():.3f}",
        )
    axes.set(xlabel="Dice coefficient of a COVID-19 image", ylabel="images", xlim=(0, 1))
    axes.legend(loc="upper left")
    return figure


def _figure() -> Figure:
    # Without pyplot nothing global is touched and no window system is asked for.
    figure = Figure(figsize=_SIZE_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
