"""Curves of detection scores: ROC, precision and recall, net benefit. No radiograph."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve, roc_curve

from infmap_train.evaluation.metrics import net_benefit
from infmap_train.evaluation.plots import legend_beside, new_figure


def draw_roc(
    covid: NDArray[np.bool_],
    scores: Mapping[str, NDArray[np.floating]],
    points: Mapping[str, tuple[float, float]] | None = None,
) -> Figure:
    """Draw the receiver operating characteristic of each score.

    Parameters
    ----------
    covid
        (N,) bool, the truth.
    scores
        Label to (N,) score; higher is more like COVID-19.
    points
        Label to (1 - specificity, sensitivity) of a rule that is marked.
    """
    figure, axes = _axes()
    for label, score in scores.items():
        false_positive, true_positive, _ = roc_curve(covid, score, drop_intermediate=False)
        axes.plot(false_positive, true_positive, label=label)
    axes.plot([0, 1], [0, 1], color="0.7", linestyle=":", linewidth=1)
    _mark(axes, points or {})
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(0, 1), ylim=(0, 1.02))
    legend_beside(axes)
    return figure


def draw_precision_recall(
    covid: NDArray[np.bool_],
    scores: Mapping[str, NDArray[np.floating]],
    points: Mapping[str, tuple[float, float]] | None = None,
) -> Figure:
    """Draw precision over recall of each score; ``points`` are (recall, precision)."""
    figure, axes = _axes()
    for label, score in scores.items():
        precision, recall, _ = precision_recall_curve(covid, score)
        # Constant between thresholds, as precision is: a straight line would flatter.
        axes.step(recall, precision, where="post", label=label)
    axes.axhline(float(covid.mean()), color="0.7", linestyle=":", linewidth=1)
    _mark(axes, points or {})
    axes.set(xlabel="recall (sensitivity)", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    legend_beside(axes)
    return figure


def draw_decision_curve(
    covid: NDArray[np.bool_], scores: Mapping[str, NDArray[np.floating]]
) -> Figure:
    """Draw the net benefit of each score, beside calling every picture COVID-19, and none.

    Parameters
    ----------
    covid
        (N,) bool, the truth.
    scores
        Label to (N,) probability.
    """
    figure, axes = _axes()
    thresholds = np.linspace(0.01, 0.99, 99)
    for label, score in scores.items():
        axes.plot(thresholds, net_benefit(covid, score, thresholds), label=label)
    every = net_benefit(covid, np.ones(covid.size), thresholds)
    axes.plot(thresholds, every, color="0.5", linestyle="--", label="every picture")
    axes.axhline(0, color="0.5", linestyle=":", label="no picture")
    share = float(covid.mean())
    axes.set(
        title=f"{covid.size} pictures, {100 * share:.0f} % COVID-19",
        xlabel="probability from which a picture is called COVID-19",
        ylabel="net benefit",
        xlim=(0, 1),
        ylim=(-0.1 * share, 1.1 * share),
    )
    legend_beside(axes)
    return figure


def _mark(axes: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    for (label, (x, y)), marker in zip(points.items(), "osD^v", strict=False):
        axes.plot(x, y, marker, color="black", markersize=6, linestyle="none", label=label)


def _axes() -> tuple[Figure, Axes]:
    figure = new_figure(width=1.6, height=1.18)  # the curves' part is nearly square
    return figure, figure.subplots()
