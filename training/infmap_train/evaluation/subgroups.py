"""Figures by sex, age and view, where they are known (Mitchell et al., "Model Cards", 2019)."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.model.spec import DETECTION_THRESHOLD
from infmap_train.data.dataset import Pictures, Sample
from infmap_train.data.readers.reader import years
from infmap_train.evaluation import weighted
from infmap_train.evaluation.bootstrap import Resamples

_AGE_BANDS_YEARS = ((0, 17), (18, 39), (40, 59), (60, 79), (80, 120))
_NOT_STATED = "not stated"
_SEXES = {"M": "male", "F": "female"}
_FIRST_NUMBER = re.compile(r"\d+")


def subgroups(pictures: Pictures, probability: NDArray[np.float32]) -> list[dict[str, Any]]:
    """Detection and masks of each subgroup, with intervals by drawing patients anew.

    Parameters
    ----------
    pictures
        Pictures with infection masks.
    probability
        (N, 224, 224) float32 in [0, 1], row by row with ``pictures``.

    Returns
    -------
    list of dict
        For each value of each attribute that is known of any picture: ``attribute``, ``value``, ``images``,
        ``covid``, and ``detection_sensitivity``, ``detection_specificity`` and ``pixel_f1``, each as ``value``,
        ``low`` and ``high``; not a number where the subgroup has no picture of the class.
    """
    infected = np.asarray(probability >= DETECTION_THRESHOLD)
    images = weighted.counts_of(pictures.covid, np.asarray(infected.any(axis=(1, 2))))
    pixels = weighted.counts_of(pictures.masks > 0, infected)
    found: list[dict[str, Any]] = []
    for attribute, value_of in (("sex", _sex), ("age", _age_band), ("view", _view)):
        values = np.array([value_of(sample) for sample in pictures.samples])
        known = sorted(set(values.tolist()) - {_NOT_STATED}, key=_order)
        # What is not stated is worth a row only beside what is.
        for value in [*known, _NOT_STATED] if known else []:
            rows = np.flatnonzero(values == value)
            if not rows.size:
                continue
            drawn = Resamples([pictures.samples[row].group for row in rows])
            covid = rows[pictures.covid[rows]]
            of_covid = (
                Resamples([pictures.samples[row].group for row in covid]) if covid.size else None
            )
            found.append(
                {
                    "attribute": attribute,
                    "value": value,
                    "images": int(rows.size),
                    "covid": int(covid.size),
                    **{
                        f"detection_{name}": drawn.interval(
                            weighted.confusion_metric(images[rows], name)
                        ).as_dict()
                        for name in ("sensitivity", "specificity")
                    },
                    # Masks of COVID-19 pictures alone, as by source.
                    "pixel_f1": of_covid.interval(
                        weighted.confusion_metric(pixels[covid], "f1")
                    ).as_dict()
                    if of_covid
                    else dict.fromkeys(("value", "low", "high"), math.nan),
                }
            )
    return found


def _sex(sample: Sample) -> str:
    return _SEXES.get(sample.details.get("sex", "").strip().upper()[:1], _NOT_STATED)


def _age_band(sample: Sample) -> str:
    # Of a span, such as 1-5, the first.
    number = _FIRST_NUMBER.match(years(sample.details.get("age", "")))
    age_years = int(number[0]) if number else -1
    for low, high in _AGE_BANDS_YEARS:
        if low <= age_years <= high:
            return f"{low} to {high} years"
    return _NOT_STATED


def _view(sample: Sample) -> str:
    return sample.details.get("view", "").strip() or _NOT_STATED


def _order(value: str) -> tuple[int, str]:
    number = _FIRST_NUMBER.match(value)
    return (int(number[0]) if number else -1, value)
