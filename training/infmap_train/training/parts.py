"""The parts of a run's data: learnt from, watched, and held back; no patient is in two of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import TrainingError
from infmap_train.data import dataset as data
from infmap_train.options import FitOptions

Rows = NDArray[np.intp]

_WATCHED_FOLDS = 10


def draw_parts(pictures: data.Pictures, options: FitOptions) -> tuple[Rows, Rows, Rows]:
    """Part all pictures by patient group, stratified.

    Returns
    -------
    tuple
        The rows that are learnt from, those of the validation part (none without ``validation_percent``), and
        those that are held back. The fold that is held back does not depend on the validation part.

    Raises
    ------
    UnfitData
        When a class has fewer patient groups than folds.
    TrainingError
        When a class has too few for a validation part of that size.
    """
    folds = data.split_by_group(pictures.samples, folds=options.folds, seed=options.seed)
    learnt, held_back = folds[options.fold]
    if not options.validation_percent:
        return learnt, learnt[:0], held_back
    samples = [pictures.samples[row] for row in learnt]
    parts = round(100 / options.validation_percent)
    if fewest(samples) < parts:
        raise TrainingError(
            f"expected at least {parts} patient groups of each class in the training part for a validation "
            f"part of {options.validation_percent} %, found {fewest(samples)}: take a larger "
            "--validation-percent, or 0"
        )
    rest, validation = data.split_by_group(samples, folds=parts, seed=options.seed)[0]
    return learnt[rest], learnt[validation], held_back


def watched_rows(learnt: data.Pictures, seed: int) -> Rows:
    """Rows of about a tenth of the training part, by patient: to see how it goes without a validation part."""
    folds = min(_WATCHED_FOLDS, fewest(learnt.samples))
    if folds < 2:
        return np.arange(len(learnt.samples))
    return data.split_by_group(learnt.samples, folds=folds, seed=seed)[0][1]


def fewest(samples: tuple[data.Sample, ...] | list[data.Sample]) -> int:
    """Number of patient groups of the class that has fewer."""
    return min(
        len({sample.group for sample in samples if sample.covid is covid})
        for covid in (True, False)
    )
