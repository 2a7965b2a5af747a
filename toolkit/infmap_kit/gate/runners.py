"""Who judges a radiograph: the trained network by the paper's formulas, or an engine with its own graphs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from infmap_kit.answer.severity import LungFigures, lung_figures
from infmap_kit.errors import SpecError
from infmap_kit.gate.engines import Engine
from infmap_kit.imaging.colour import infection_map
from infmap_kit.model.contract import (
    ACTIVATION_MAP,
    CANVAS,
    CLASSIFIER_OUTPUTS,
    CLASSIFIER_PROBABILITY,
    DETECTED,
    IMAGE,
    INFECTION_MAP,
    LUNG_OUTPUTS,
    LUNG_SEVERITY,
    LUNGS,
    PROBABILITY,
    SEVERITY,
    SEVERITY_AT,
    SEVERITY_OF_LUNGS,
    ZONE_SEVERITY,
    Contract,
)
from infmap_kit.model.spec import DETECTION_THRESHOLD
from infmap_kit.triton.client import InfmapClient

# Pictures; a judgement takes about 0.4 MB.
_REMEMBERED = 512


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassifierPrediction:
    """What a classifier says of one picture.

    Parameters
    ----------
    probability
        Of COVID-19, in [0, 1].
    activation
        (224, 224) float32 in [0, 1], relative to its peak.
    """

    probability: float
    activation: NDArray[np.float32]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prediction:
    """What was said of one picture.

    Parameters
    ----------
    probability
        (224, 224) float32.
    detected
        Whether it is COVID-19.
    severity_percent
        Infected share of the picture, or of the lungs where they are known.
    infection_map
        (224, 224, 3) uint8 RGB, painted on the picture itself.
    lungs
        (224, 224) bool; ``None`` where lungs are not served.
    figures
        Severity of the lungs, their zones and at other thresholds; ``None`` where lungs are not served.
    opinion
        A classifier's; ``None`` where none is served.
    """

    probability: NDArray[np.float32]
    detected: bool
    severity_percent: float
    infection_map: NDArray[np.uint8]
    lungs: NDArray[np.bool_] | None = None
    figures: LungFigures | None = None
    opinion: ClassifierPrediction | None = None


class Runner(Protocol):
    """Somebody who judges pictures."""

    def predict(self, name: str, picture: NDArray[np.uint8]) -> Prediction:
        """Judge one picture, (224, 224) uint8."""
        ...


class Segmenting(Protocol):
    """An engine of a network that segments pictures."""

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, 224, 224) uint8 to (N, 224, 224) float32 probabilities."""
        ...


class ReferenceRunner:
    """The trained networks, with detection, severity and map by the paper's formulas in NumPy and OpenCV.

    None of the graphs behind the ensemble is used but the networks, so that they are proved as well.

    Parameters
    ----------
    segmentation
        As it was trained.
    lungs
        The network of the lungs, where they are served.
    temperature
        That the infection's probabilities are calibrated with; 1 leaves them as they are.
    classifier
        As it was trained, where one is served.
    """

    def __init__(
        self,
        segmentation: Segmenting,
        *,
        lungs: Segmenting | None = None,
        temperature: float = 1.0,
        classifier: Engine | None = None,
    ) -> None:
        self._segmentation = segmentation
        self._lungs = lungs
        self._temperature = temperature
        self._classifier = classifier

    def predict(self, _name: str, picture: NDArray[np.uint8]) -> Prediction:
        """Judge one picture, (224, 224) uint8."""
        image = picture[np.newaxis]
        probability = self._segmentation.infer(image)[0]
        if self._temperature != 1:
            probability = calibrated(probability, self._temperature)
        lungs = None
        if self._lungs is not None:
            lungs = self._lungs.infer(image)[0] >= DETECTION_THRESHOLD
        prediction = by_the_paper(probability, picture, lungs)
        return dataclasses.replace(prediction, opinion=_opinion_of(self._classifier, image))


def calibrated(probability: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Probabilities whose logits are divided by a temperature (Guo et al., ICML 2017, 4.2).

    Parameters
    ----------
    probability
        float32 in [0, 1]; NaN stays.
    temperature
        Above 0.
    """
    exact = probability.astype(np.float64)
    with np.errstate(divide="ignore"):
        logit = np.log(exact) - np.log1p(-exact)
    with np.errstate(over="ignore"):
        return (1 / (1 + np.exp(-logit / temperature))).astype(np.float32)


class CachingRunner:
    """A judge who is asked once of each picture: a choice between engines compares each of them with it.

    Parameters
    ----------
    runner
        Whose judgements are kept, of the last pictures.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._known: dict[bytes, Prediction] = {}

    def predict(self, name: str, picture: NDArray[np.uint8]) -> Prediction:
        """Judge one picture, (224, 224) uint8."""
        # Names may repeat: they are of files in several folders.
        pixels = picture.tobytes()
        if pixels not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[pixels] = self._runner.predict(name, picture)
        return self._known[pixels]


class InfectionOnlyRunner:
    """A judge whose lungs, where it has any, are left out: for a network that is looked at by itself."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def predict(self, name: str, picture: NDArray[np.uint8]) -> Prediction:
        """Judge one picture, (224, 224) uint8."""
        return by_the_paper(self._runner.predict(name, picture).probability, picture)


class RecordedRunner:
    """What the trained networks said elsewhere, on the machine that made a bundle.

    Parameters
    ----------
    probabilities
        Of infection, by picture.
    lungs
        Their masks by picture, where they are served.
    opinions
        A classifier's by picture, where one is served.
    """

    def __init__(
        self,
        probabilities: Mapping[str, NDArray[np.float32]],
        lungs: Mapping[str, NDArray[np.bool_]] | None = None,
        opinions: Mapping[str, ClassifierPrediction] | None = None,
    ) -> None:
        self._probabilities = probabilities
        self._lungs = lungs
        self._opinions = opinions

    def predict(self, name: str, picture: NDArray[np.uint8]) -> Prediction:
        """Look up one picture, (224, 224) uint8.

        Raises
        ------
        SpecError
            For a picture that nothing was recorded of.
        """
        if name not in self._probabilities:
            raise SpecError(f"nothing was recorded of {name}: bundle the run again")
        lungs = self._lungs[name] if self._lungs is not None else None
        opinion = self._opinions[name] if self._opinions is not None else None
        prediction = by_the_paper(self._probabilities[name], picture, lungs)
        return dataclasses.replace(prediction, opinion=opinion)


class EngineRunner:
    """The engines of every graph behind the ensemble, run one after the other as the server runs them.

    Parameters
    ----------
    engines
        By the graph's name.
    contract
        What is served.
    """

    def __init__(self, engines: Mapping[str, Engine], contract: Contract) -> None:
        self._engines = engines
        self._contract = contract

    def predict(self, _name: str, picture: NDArray[np.uint8]) -> Prediction:
        """Judge one picture, (224, 224) uint8."""
        image = picture[np.newaxis]
        tensors: dict[str, NDArray[Any]] = {IMAGE.name: image, CANVAS.name: image}
        for graph in self._contract.graphs:
            inputs = {tensor.name: tensors[tensor.name] for tensor in graph.inputs}
            outputs = [tensor.name for tensor in graph.outputs]
            tensors |= self._engines[graph.name].run(inputs, outputs)
        served = self._contract.ensemble.outputs
        return _prediction({tensor.name: tensors[tensor.name][0] for tensor in served})


class ServedRunner:
    """A running server, asked for everything at once."""

    def __init__(self, client: InfmapClient) -> None:
        self._client = client

    def predict(self, _name: str, picture: NDArray[np.uint8]) -> Prediction:
        """Judge one picture, (224, 224) uint8."""
        offered = [tensor.name for tensor in (*LUNG_OUTPUTS, *CLASSIFIER_OUTPUTS)]
        return _prediction(self._client.infer(picture, picture, where_served=offered))


def _opinion_of(classifier: Engine | None, image: NDArray[np.uint8]) -> ClassifierPrediction | None:
    if classifier is None:
        return None
    names = tuple(tensor.name for tensor in CLASSIFIER_OUTPUTS)
    return _opinion(
        {name: value[0] for name, value in classifier.run({IMAGE.name: image}, names).items()}
    )


def _opinion(answer: Mapping[str, NDArray[Any]]) -> ClassifierPrediction | None:
    if CLASSIFIER_PROBABILITY.name not in answer:
        return None
    return ClassifierPrediction(
        probability=float(answer[CLASSIFIER_PROBABILITY.name]),
        activation=answer[ACTIVATION_MAP.name],
    )


def _prediction(answer: Mapping[str, NDArray[Any]]) -> Prediction:
    """What an engine answered, without the batch dimension."""
    severity_percent = float(answer[SEVERITY.name])
    figures = None
    if LUNGS.name in answer:
        figures = LungFigures(
            of_lungs=bool(answer[SEVERITY_OF_LUNGS.name]),
            severity_percent=severity_percent,
            lungs=answer[LUNG_SEVERITY.name],
            zones=answer[ZONE_SEVERITY.name],
            at=answer[SEVERITY_AT.name],
        )
    return Prediction(
        probability=answer[PROBABILITY.name],
        detected=bool(answer[DETECTED.name]),
        severity_percent=severity_percent,
        infection_map=answer[INFECTION_MAP.name],
        lungs=answer[LUNGS.name].astype(np.bool_) if LUNGS.name in answer else None,
        figures=figures,
        opinion=_opinion(answer),
    )


def by_the_paper(
    probability: NDArray[np.float32],
    picture: NDArray[np.uint8],
    lungs: NDArray[np.bool_] | None = None,
) -> Prediction:
    """Detection, severity and map of a probability by the paper's II-D, without any graph.

    Parameters
    ----------
    probability
        (224, 224) float32.
    picture
        (224, 224) uint8, the canvas.
    lungs
        (224, 224) bool, where they are served: severity is then of them.
    """
    infected = probability >= DETECTION_THRESHOLD
    # A map of NaN has no colour; the gate names the NaN itself.
    drawable = np.nan_to_num(probability, nan=0.0, posinf=1.0, neginf=0.0)
    figures = None
    if lungs is not None:
        figures = lung_figures(probability, lungs, threshold=DETECTION_THRESHOLD)
    return Prediction(
        probability=probability,
        detected=bool(infected.any()),
        severity_percent=figures.severity_percent if figures else 100 * float(infected.mean()),
        infection_map=infection_map(picture, np.clip(drawable, 0, 1)),
        lungs=lungs,
        figures=figures,
    )
