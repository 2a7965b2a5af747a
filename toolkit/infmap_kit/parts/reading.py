"""From the outputs of a served model, or of engines in this process, to an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from infmap_kit.answer.answer import Answer
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.model.tensors import DETECTED, INFECTION_MAP, PROBABILITY, SEVERITY
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
        Output name to array, without the batch dimension.
    model
        Identity of the model that answered.
    timings_ms
        Milliseconds by stage.
    """
    identity = model if model is not None else ModelIdentity()
    parts = {part.name: part.read(outputs, identity) for part in optional_parts()}
    return Answer(
        detected=bool(outputs[DETECTED.name]),
        severity_percent=float(outputs[SEVERITY.name]),
        probability=outputs[PROBABILITY.name],
        infection_map=outputs.get(INFECTION_MAP.name),
        parts={name: answer for name, answer in parts.items() if answer is not None},
        model=identity,
        timings_ms=dict(timings_ms or {}),
        finding=identity.finding,
        paint=identity.paint,
    )
