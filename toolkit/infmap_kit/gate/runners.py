"""Runners, which predict from a picture: the trained network by the paper's formulas, or engines."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from infmap_kit.answer.answer import Answer
from infmap_kit.answer.part import PartAnswer
from infmap_kit.answer.severity import LungAnswer
from infmap_kit.errors import ExportError, GateFailed, SpecError
from infmap_kit.gate.engines import Engine
from infmap_kit.imaging.colour import infection_map
from infmap_kit.model.finding import COVID_19, FindingSpec
from infmap_kit.model.paint import PAPER, Paint
from infmap_kit.model.tensors import CANVAS, IMAGE, RAW_PROBABILITY, SUMMARY_OUTPUTS, Graph
from infmap_kit.parts.contract import PLAIN, Contract
from infmap_kit.parts.reading import read_answer
from infmap_kit.parts.registry import find_part, optional_parts
from infmap_kit.triton.client import InfmapClient

# An answer takes about 0.4 MB.
_CACHED_PICTURES = 512

_ROUNDING = 1e-3

Prediction: TypeAlias = tuple[NDArray[np.float32], Mapping[str, PartAnswer]]
"""(H, H) float32 probability of infection, and the other parts' answers by their names."""


class Runner(Protocol):
    """A way to get a model's answer about a picture."""

    def predict(self, name: str, picture: NDArray[np.uint8]) -> Answer:
        """Answer about one picture, (H, H) uint8, which is also painted on."""
        ...


class ReferenceRunner:
    """The trained networks, with detection, severity and map by the paper's formulas in NumPy and OpenCV.

    None of the graphs behind the ensemble is used but the networks, so that the others are proved as well.

    Parameters
    ----------
    segmentation
        Engine of the infection's network as it was trained.
    parts
        Engines of the other networks as they were trained, by the parts' names.
    temperature
        Divides the logits of the infection's network; 1 leaves its probabilities as they are.
    finding
        The finding whose threshold and colours the answers have.
    """

    def __init__(
        self,
        segmentation: Engine,
        *,
        parts: Mapping[str, Engine] | None = None,
        temperature: float = 1.0,
        finding: FindingSpec = COVID_19,
    ) -> None:
        self._segmentation = segmentation
        self._parts = {find_part(name): engine for name, engine in (parts or {}).items()}
        self._contract = Contract(tuple(part.name for part in self._parts))
        self._temperature = temperature
        self._finding = finding

    def predict(self, _name: str, picture: NDArray[np.uint8]) -> Answer:
        """Answer about one picture, (H, H) uint8."""
        tensors: dict[str, NDArray[Any]] = {IMAGE.name: picture}
        tensors |= _run(self._segmentation, self._contract.segmentation, tensors)
        probability = tensors[RAW_PROBABILITY.name]
        if self._temperature != 1:
            tensors[RAW_PROBABILITY.name] = calibrated(probability, self._temperature)
            probability = tensors[RAW_PROBABILITY.name]
        parts = {
            part.name: part.reference(_run(engine, part.graph, tensors), probability, self._finding)
            for part, engine in self._parts.items()
        }
        return by_the_paper(probability, picture, parts, finding=self._finding)


def require_probabilities(probability: NDArray[np.float32]) -> None:
    """Refuse values outside 0 to 1, which are logits; what is no number the gate names.

    Raises
    ------
    ExportError
        With the values that were found.
    """
    beyond = (probability < -_ROUNDING) | (probability > 1 + _ROUNDING)
    if beyond.any():
        least, most = float(probability.min()), float(probability.max())
        raise ExportError(
            f"expected probabilities from 0 to 1, found values from {least:.3g} to {most:.3g}: the network "
            "ends in logits, add --activation sigmoid"
        )


def calibrated(probability: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """Divide the logits of probabilities in [0, 1] by a temperature above 0; NaN stays.

    (Guo et al., On Calibration of Modern Neural Networks, ICML 2017, 4.2.)
    """
    exact = probability.astype(np.float64)
    with np.errstate(divide="ignore"):
        logit = np.log(exact) - np.log1p(-exact)
    with np.errstate(over="ignore"):
        return (1 / (1 + np.exp(-logit / temperature))).astype(np.float32)


class CachingRunner:
    """A runner that computes once for each picture: a choice between engines compares each of them with it."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._known: dict[bytes, Answer] = {}

    def predict(self, name: str, picture: NDArray[np.uint8]) -> Answer:
        """Answer about one picture, (H, H) uint8."""
        # Names may repeat: they are of files in several folders.
        pixels = picture.tobytes()
        if pixels not in self._known:
            if len(self._known) >= _CACHED_PICTURES:
                self._known.clear()
            self._known[pixels] = self._runner.predict(name, picture)
        return self._known[pixels]


class InfectionOnlyRunner:
    """A runner without its other parts, for a network that is looked at by itself."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    def predict(self, name: str, picture: NDArray[np.uint8]) -> Answer:
        """Answer about one picture, (H, H) uint8."""
        answer = self._runner.predict(name, picture)
        return by_the_paper(answer.probability, picture, finding=answer.finding)


class RecordedRunner:
    """Predictions, by picture's name, that the trained networks made where a bundle was made."""

    def __init__(
        self, recorded: Mapping[str, Prediction], *, finding: FindingSpec = COVID_19
    ) -> None:
        self._recorded = recorded
        self._finding = finding

    def predict(self, name: str, picture: NDArray[np.uint8]) -> Answer:
        """Look up one picture, (H, H) uint8.

        Raises
        ------
        SpecError
            For a picture that nothing was recorded of.
        """
        if name not in self._recorded:
            raise SpecError(f"nothing was recorded of {name}: bundle the run again")
        probability, parts = self._recorded[name]
        return by_the_paper(probability, picture, parts, finding=self._finding)


class EngineRunner:
    """The engines of all graphs of a contract, by the graphs' names."""

    def __init__(self, engines: Mapping[str, Engine], contract: Contract = PLAIN) -> None:
        self._engines = engines
        self._contract = contract

    def predict(self, _name: str, picture: NDArray[np.uint8]) -> Answer:
        """Answer about one picture, (H, H) uint8."""
        (answer,) = self.predict_batch(picture[np.newaxis])
        return answer

    def predict_batch(self, pictures: NDArray[np.uint8]) -> list[Answer]:
        """Answer about the pictures of one request, (N, H, H) uint8."""
        tensors: dict[str, NDArray[Any]] = {IMAGE.name: pictures, CANVAS.name: pictures}
        for graph in self._contract.graphs:
            inputs = {tensor.name: tensors[tensor.name] for tensor in graph.inputs}
            outputs = tuple(tensor.name for tensor in graph.outputs)
            tensors |= self._engines[graph.name].run(inputs, outputs)
        answers = [
            read_answer({name: value[row] for name, value in tensors.items()})
            for row in range(len(pictures))
        ]
        # Engines bring no identity that says it.
        return [dataclasses.replace(answer, paint=self._contract.paint) for answer in answers]


class BatchedRunner:
    """Engines that get each picture in a request of several: a graph may mix them, or take only one.

    Parameters
    ----------
    runner
        The engines.
    pictures
        Name and (H, H) uint8 of each picture, in the order in which they are asked for.
    batch
        Pictures in a request; the last request is filled up with the first pictures.
    """

    def __init__(
        self, runner: EngineRunner, pictures: Sequence[tuple[str, NDArray[np.uint8]]], batch: int
    ) -> None:
        self._runner = runner
        self._pictures = [picture for _, picture in pictures]
        self._batch = batch
        self._next = 0
        self._answers: list[Answer] = []

    def predict(self, name: str, picture: NDArray[np.uint8]) -> Answer:
        """Answer about the next picture, (H, H) uint8.

        Raises
        ------
        GateFailed
            When the engines do not compute a request of several pictures.
        """
        row = self._next % self._batch
        if row == 0:
            indices = range(self._next, self._next + self._batch)
            request = [self._pictures[index % len(self._pictures)] for index in indices]
            try:
                self._answers = self._runner.predict_batch(np.stack(request))
            except (ExportError, IndexError, ValueError) as error:
                reason = " ".join(str(error).split())
                raise GateFailed(
                    f"the graph does not answer a request of {self._batch} pictures, so its batch may be "
                    f"a constant in it: make its first dimension open ({reason[:300]})"
                ) from error
        self._next += 1
        return self._answers[row]


class ServedRunner:
    """A running server, asked for everything at once by a client that is connected to it."""

    def __init__(self, client: InfmapClient) -> None:
        self._client = client

    def predict(self, _name: str, picture: NDArray[np.uint8]) -> Answer:
        """Answer about one picture, (H, H) uint8."""
        parts = [tensor for part in optional_parts() for tensor in part.outputs]
        offered = [tensor.name for tensor in (*SUMMARY_OUTPUTS, *parts)]
        answer = self._client.infer(picture, picture, where_served=offered)
        return read_answer(answer, self._client.model())


def by_the_paper(
    probability: NDArray[np.float32],
    picture: NDArray[np.uint8],
    parts: Mapping[str, PartAnswer] | None = None,
    *,
    finding: FindingSpec = COVID_19,
    paint: Paint = PAPER,
) -> Answer:
    """Detection, severity and map of a probability by the paper's II-D, without any graph.

    Parameters
    ----------
    probability
        (H, H) float32.
    picture
        (H, H) uint8, the canvas.
    parts
        Answers of the other networks; with lungs, severity is of them.
    finding
        The finding whose threshold and colours the answer has.
    paint
        Way to paint the map.
    """
    infected = probability >= np.float32(finding.threshold)
    # A map of NaN has no colour; the gate names the NaN itself.
    drawable = np.nan_to_num(probability, nan=0.0, posinf=1.0, neginf=0.0)
    lungs = (parts or {}).get("lungs")
    return Answer(
        probability=probability,
        detected=bool(infected.any()),
        severity_percent=lungs.severity_percent
        if isinstance(lungs, LungAnswer)
        else 100 * float(infected.mean()),
        infection_map=infection_map(
            picture,
            np.clip(drawable, 0, 1),
            finding.colour_table,
            paint=paint,
            lungs=lungs.mask.astype(np.uint8) if isinstance(lungs, LungAnswer) else None,
        ),
        parts=dict(parts or {}),
        finding=finding,
        paint=paint,
    )


def _run(
    engine: Engine, graph: Graph, tensors: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Outputs of a graph for one picture, without the batch dimension, as its inputs are."""
    outputs = [tensor.name for tensor in graph.outputs]
    inputs = {tensor.name: tensors[tensor.name][np.newaxis] for tensor in graph.inputs}
    computed = engine.run(inputs, outputs)
    return {name: value[0] for name, value in computed.items()}
