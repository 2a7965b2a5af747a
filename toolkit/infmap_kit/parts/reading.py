"""Reading an answer from the outputs of a served model, or of engines in this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from infmap_kit.answer.answer import Answer
from infmap_kit.answer.summary import Summary
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.model.tensors import (
    DETECTED,
    IMAGE_SEVERITY_AT,
    INFECTION_MAP,
    PROBABILITY,
    PROBABILITY_MAX,
    PROBABILITY_UINT8,
    SEVERITY,
)
from infmap_kit.parts.registry import optional_parts


def read_answer(
    outputs: Mapping[str, NDArray[Any]],
    model: ModelIdentity | None = None,
    timings_ms: Mapping[str, float] | None = None,
) -> Answer:
    """Make an answer of the outputs for one radiograph.

    Parameters
    ----------
    outputs
        Output name to array, without the batch dimension; PROBABILITY, or the outputs of the summary.
    model
        Identity of the model that answered.
    timings_ms
        Milliseconds by stage.
    """
    identity = model if model is not None else ModelIdentity()
    parts = {part.name: part.read(outputs, identity) for part in optional_parts()}
    summary = _summary(outputs)
    return Answer(
        detected=bool(outputs[DETECTED.name]),
        severity_percent=float(outputs[SEVERITY.name]),
        probability=outputs[PROBABILITY.name]
        if summary is None or PROBABILITY.name in outputs
        else summary.probability,
        infection_map=outputs.get(INFECTION_MAP.name),
        parts={name: answer for name, answer in parts.items() if answer is not None},
        model=identity,
        timings_ms=dict(timings_ms or {}),
        finding=identity.finding,
        paint=identity.paint,
        summary=summary,
    )


def _summary(outputs: Mapping[str, NDArray[Any]]) -> Summary | None:
    if PROBABILITY_UINT8.name not in outputs:
        return None
    return Summary(
        steps=outputs[PROBABILITY_UINT8.name],
        probability_max=float(outputs[PROBABILITY_MAX.name]),
        severity_at=outputs[IMAGE_SEVERITY_AT.name],
    )
