"""The parts that there are, in the order in which they are served and shown."""

from __future__ import annotations

from infmap_kit.errors import SpecError
from infmap_kit.parts.classifier import Classifier
from infmap_kit.parts.detection_score import DetectionScore
from infmap_kit.parts.familiarity import Familiarity
from infmap_kit.parts.infection import Infection
from infmap_kit.parts.lungs import Lungs
from infmap_kit.parts.part import Part

INFECTION = Infection()
"""The network that every model has."""

_OPTIONAL: list[Part] = [Lungs(), Classifier(), Familiarity(), DetectionScore()]


def optional_parts() -> tuple[Part, ...]:
    """The parts that a model may have besides the infection's network."""
    return tuple(_OPTIONAL)


def all_parts() -> tuple[Part, ...]:
    """Every part, the infection first."""
    return (INFECTION, *_OPTIONAL)


def find_part(name: str) -> Part:
    """The part of a name.

    Raises
    ------
    SpecError
        Naming the parts that there are.
    """
    parts = {part.name: part for part in all_parts()}
    if name not in parts:
        raise SpecError(f"expected a part of {', '.join(parts)}, found {name!r}")
    return parts[name]


def part_of(graph: str) -> Part:
    """The part whose network has a graph of that name.

    Raises
    ------
    SpecError
        When no part has.
    """
    for part in all_parts():
        if part.graph.name == graph:
            return part
    raise SpecError(f"no part has a graph {graph!r}")


def register(part: Part) -> None:
    """Add a part of another package; one of the same name is replaced."""
    _OPTIONAL[:] = [*(other for other in _OPTIONAL if other.name != part.name), part]
