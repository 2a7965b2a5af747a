"""Who judges a radiograph: the trained network by the paper's formulas, or an engine with its own graphs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import SpecError
from infmap_kit.export.engine import Engine, GraphEngine
from infmap_kit.graphs.contract import (
    CANVAS,
    DETECTED,
    INFECTION_MAP,
    PROBABILITY,
    RAW_PROBABILITY,
    SEVERITY,
)
from infmap_kit.imaging.colour import infection_map
from infmap_kit.spec import DETECTION_THRESHOLD
from infmap_kit.triton.client import InfmapClient


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judgement:
    """What was said of one picture.

    Parameters
    ----------
    probability
        (224, 224) float32.
    detected
        Whether it is COVID-19.
    severity_percent
        Infected share of the picture.
    infection_map
        (224, 224, 3) uint8 RGB, painted on the picture itself.
    """

    probability: NDArray[np.float32]
    detected: bool
    severity_percent: float
    infection_map: NDArray[np.uint8]


class Judge(Protocol):
    """Somebody who judges pictures."""

    def judge(self, name: str, picture: NDArray[np.uint8]) -> Judgement:
        """Judge one picture, (224, 224) uint8."""
        ...


class ReferenceJudge:
    """The trained network, with detection, severity and map by the paper's formulas in NumPy and OpenCV.

    None of the graphs behind the ensemble is used but the segmentation, so that they are proved as well.
    """

    def __init__(self, segmentation: Engine) -> None:
        self._segmentation = segmentation

    def judge(self, _name: str, picture: NDArray[np.uint8]) -> Judgement:
        """Judge one picture, (224, 224) uint8."""
        return by_the_paper(self._segmentation.infer(picture[np.newaxis])[0], picture)


class RecordedJudge:
    """What the trained network said elsewhere, on the machine that made a bundle."""

    def __init__(self, probabilities: Mapping[str, NDArray[np.float32]]) -> None:
        self._probabilities = probabilities

    def judge(self, name: str, picture: NDArray[np.uint8]) -> Judgement:
        """Look up one picture, (224, 224) uint8.

        Raises
        ------
        SpecError
            For a picture that nothing was recorded of.
        """
        if name not in self._probabilities:
            raise SpecError(f"nothing was recorded of {name}: bundle the run again")
        return by_the_paper(self._probabilities[name], picture)


class EngineJudge:
    """An engine with the detection and rendering that are published beside it."""

    def __init__(
        self, segmentation: Engine, detection: GraphEngine, rendering: GraphEngine
    ) -> None:
        self._segmentation = segmentation
        self._detection = detection
        self._rendering = rendering

    def judge(self, _name: str, picture: NDArray[np.uint8]) -> Judgement:
        """Judge one picture, (224, 224) uint8."""
        raw = {RAW_PROBABILITY.name: self._segmentation.infer(picture[np.newaxis])}
        found = self._detection.run(raw, (DETECTED.name, SEVERITY.name, PROBABILITY.name))
        canvas = {CANVAS.name: picture[np.newaxis]}
        painted = self._rendering.run({**raw, **canvas}, (INFECTION_MAP.name,))
        return Judgement(
            probability=found[PROBABILITY.name][0],
            detected=bool(found[DETECTED.name][0]),
            severity_percent=float(found[SEVERITY.name][0]),
            infection_map=painted[INFECTION_MAP.name][0],
        )


class ServedJudge:
    """A running server, asked for everything at once."""

    def __init__(self, client: InfmapClient) -> None:
        self._client = client

    def judge(self, _name: str, picture: NDArray[np.uint8]) -> Judgement:
        """Judge one picture, (224, 224) uint8."""
        answer = self._client.infer(picture, picture)
        return Judgement(
            probability=answer[PROBABILITY.name],
            detected=bool(answer[DETECTED.name]),
            severity_percent=float(answer[SEVERITY.name]),
            infection_map=answer[INFECTION_MAP.name],
        )


def by_the_paper(probability: NDArray[np.float32], picture: NDArray[np.uint8]) -> Judgement:
    """Detection, severity and map of a probability by the paper's II-D, without any graph.

    Parameters
    ----------
    probability
        (224, 224) float32.
    picture
        (224, 224) uint8, the canvas.
    """
    infected = probability >= DETECTION_THRESHOLD
    # A map of NaN has no colour; the gate names the NaN itself.
    drawable = np.nan_to_num(probability, nan=0.0, posinf=1.0, neginf=0.0)
    return Judgement(
        probability=probability,
        detected=bool(infected.any()),
        severity_percent=100 * float(infected.mean()),
        infection_map=infection_map(picture, np.clip(drawable, 0, 1)),
    )
