"""The contract of a model: the graphs and tensors that it serves, by the parts that it has."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Self

from infmap_kit.model.tensors import (
    CANVAS,
    DETECTED,
    IMAGE,
    INFECTION_MAP,
    PROBABILITY,
    RENDERING,
    SEVERITY,
    Graph,
)
from infmap_kit.parts.part import Part
from infmap_kit.parts.registry import INFECTION, find_part, optional_parts


@dataclasses.dataclass(frozen=True)
class Contract:
    """The graphs and tensors that a model serves.

    A part adds graphs and outputs and takes none away, so that a client of the four outputs that are
    always there asks every model in the same way.

    Parameters
    ----------
    parts
        Names of the parts that are served besides the infection, in any order.

    Raises
    ------
    SpecError
        For a part that does not exist.
    """

    parts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        asked = {find_part(name).name for name in self.parts}
        ordered = tuple(part.name for part in optional_parts() if part.name in asked)
        object.__setattr__(self, "parts", ordered)

    @classmethod
    def of(cls, names: Collection[str]) -> Self:
        """The contract that graphs, or parts, of these names serve."""
        served = (p.name for p in optional_parts() if {p.name, p.graph.name} & set(names))
        return cls(tuple(served))

    @property
    def optional(self) -> tuple[Part, ...]:
        """The parts that are served besides the infection."""
        return tuple(find_part(name) for name in self.parts)

    @property
    def networks(self) -> tuple[Graph, ...]:
        """The networks whose engines compute in the precision that was asked for."""
        return tuple(part.graph for part in (INFECTION, *self.optional) if part.is_lowered)

    def is_network(self, graph: str) -> bool:
        """Whether a graph of this name is one of :attr:`networks`."""
        return graph in (network.name for network in self.networks)

    @property
    def fp32_networks(self) -> tuple[Graph, ...]:
        """The networks that always compute in FP32; nothing else is computed from them."""
        return tuple(part.graph for part in self.optional if not part.is_lowered)

    @property
    def detection(self) -> Graph:
        """The graph that computes decisions and severities of the probabilities."""
        read = [part for part in self.optional if part.detection_outputs]
        return Graph(
            name="detection",
            inputs=tuple(tensor for part in (INFECTION, *read) for tensor in part.graph.outputs),
            outputs=(
                *(DETECTED, SEVERITY, PROBABILITY),
                *(tensor for part in read for tensor in part.detection_outputs),
            ),
        )

    @property
    def postprocessing(self) -> tuple[Graph, ...]:
        """The graphs that follow the networks; they are small and always compute in FP32."""
        return (self.detection, RENDERING)

    @property
    def graphs(self) -> tuple[Graph, ...]:
        """The graphs behind the ensemble, each after those whose outputs it takes."""
        return (*self.networks, *self.postprocessing, *self.fp32_networks)

    @property
    def ensemble(self) -> Graph:
        """The model that clients ask: the outputs that are always there, then those of the parts."""
        return Graph(
            name="infmap",
            inputs=(IMAGE, CANVAS),
            outputs=(
                *(DETECTED, SEVERITY, PROBABILITY, INFECTION_MAP),
                *(tensor for part in self.optional for tensor in part.outputs),
            ),
        )


PLAIN = Contract()
"""Infection alone."""

DETECTION = PLAIN.detection
ENSEMBLE = PLAIN.ensemble
GRAPHS = PLAIN.graphs
"""The graphs behind the ensemble of infection alone."""
