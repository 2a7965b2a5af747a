"""The contract of a model: the graphs and tensors that it serves, by the parts that it has."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Self

from infmap_kit.errors import SpecError
from infmap_kit.model.paint import PAPER, Paint, paint_of
from infmap_kit.model.spec import IMAGE_SIZE
from infmap_kit.model.tensors import (
    CANVAS,
    DETECTED,
    FEATURES,
    IMAGE,
    INFECTION_MAP,
    PROBABILITY,
    RAW_LUNG_PROBABILITY,
    RAW_PROBABILITY,
    RENDERING,
    SEVERITY,
    SUMMARY,
    Graph,
)
from infmap_kit.parts.part import Part
from infmap_kit.parts.registry import INFECTION, find_part, optional_parts

if TYPE_CHECKING:
    import onnx


@dataclasses.dataclass(frozen=True)
class Contract:
    """The graphs and tensors that a model serves.

    A part adds graphs and outputs and takes none away, so that a client of the four outputs that are
    always there asks every model in the same way.

    Parameters
    ----------
    parts
        Names of the parts that are served besides the infection, in any order.
    image_size
        Height and width in pixels of the networks' pictures; other networks than the infection's know
        :data:`~infmap_kit.model.spec.IMAGE_SIZE` alone.
    paint
        Way to paint the map. Inside the lungs only, rendering also reads the lung network.
    features
        Number of the encoder's features that a part may be computed of; -1 where it does not matter.
    summary
        Whether the probability is served in one byte a pixel, too; not in what was published before it was.

    Raises
    ------
    SpecError
        For a part that does not exist, or a paint that needs another.
    """

    parts: tuple[str, ...] = ()
    image_size: int = IMAGE_SIZE
    paint: Paint = PAPER
    features: int = -1
    summary: bool = False

    def __post_init__(self) -> None:
        asked = {find_part(name).name for name in self.parts}
        ordered = tuple(part.name for part in optional_parts() if part.name in asked)
        object.__setattr__(self, "parts", ordered)
        if self.paint.in_lungs and "lungs" not in ordered:
            raise SpecError(
                "--paint-in lungs needs to know where they are: give the run of a lung network as --lungs too"
            )

    @classmethod
    def of(cls, names: Collection[str], image_size: int = IMAGE_SIZE, paint: Paint = PAPER) -> Self:
        """The contract that graphs, or parts, of these names serve."""
        served = (p.name for p in optional_parts() if {p.name, p.graph.name} & set(names))
        return cls(tuple(served), image_size, paint, summary=SUMMARY.name in names)

    @classmethod
    def of_graphs(cls, graphs: Mapping[str, onnx.ModelProto]) -> Self:
        """The contract of prepared graphs by name, each of which takes pictures or their probabilities."""
        rendering = graphs.get(RENDERING.name)
        paint = paint_of(rendering) if rendering is not None else PAPER
        of_names = cls.of(graphs, image_size_of(next(iter(graphs.values()))), paint)
        return dataclasses.replace(of_names, features=features_of(*graphs.values()))

    @property
    def optional(self) -> tuple[Part, ...]:
        """The parts that are served besides the infection."""
        return tuple(find_part(name) for name in self.parts)

    @property
    def networks(self) -> tuple[Graph, ...]:
        """The networks whose engines compute in the precision that was asked for."""
        others = tuple(self._at(part.graph) for part in self.optional if part.is_lowered)
        return (self.segmentation, *others)

    @property
    def segmentation(self) -> Graph:
        """The infection's network, which gives its features where a part is computed of them."""
        graph = INFECTION.graph
        if any(FEATURES in part.graph.inputs for part in self.optional):
            graph = dataclasses.replace(graph, outputs=(*graph.outputs, FEATURES))
        return self._at(graph)

    def is_network(self, graph: str) -> bool:
        """Whether a graph of this name is one of :attr:`networks`."""
        return graph in (network.name for network in self.networks)

    @property
    def fp32_networks(self) -> tuple[Graph, ...]:
        """The networks and graphs that always compute in FP32. Nothing else is computed from them."""
        return tuple(self._at(part.graph) for part in self.optional if not part.is_lowered)

    def _at(self, graph: Graph) -> Graph:
        return graph.at(self.image_size, self.features)

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
        ).at(self.image_size)

    @property
    def rendering(self) -> Graph:
        """The graph that paints the map."""
        lungs = (RAW_LUNG_PROBABILITY,) if self.paint.in_lungs else ()
        inputs = (*RENDERING.inputs, *lungs)
        return dataclasses.replace(RENDERING, inputs=inputs).at(self.image_size)

    @property
    def postprocessing(self) -> tuple[Graph, ...]:
        """The graphs that follow the networks; they are small and always compute in FP32."""
        summary = (SUMMARY.at(self.image_size),) if self.summary else ()
        return (self.detection, self.rendering, *summary)

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
                *(SUMMARY.outputs if self.summary else ()),
                *(tensor for part in self.optional for tensor in part.outputs),
            ),
        ).at(self.image_size)


def image_size_of(graph: onnx.ModelProto) -> int:
    """Height and width in pixels of the pictures, or of their probabilities, that a prepared graph takes."""
    sizes = [
        value.type.tensor_type.shape.dim[-1].dim_value
        for value in graph.graph.input
        if value.name in (IMAGE.name, RAW_PROBABILITY.name)
    ]
    return int(sizes[0])


def features_of(*graphs: onnx.ModelProto) -> int:
    """Number of the features that prepared graphs give or take; -1 where none does."""
    numbers = [
        value.type.tensor_type.shape.dim[-1].dim_value
        for model in graphs
        for value in (*model.graph.input, *model.graph.output)
        if value.name == FEATURES.name
    ]
    return int(numbers[0]) if numbers else -1


PLAIN = Contract()
"""Infection alone."""

DETECTION = PLAIN.detection
ENSEMBLE = PLAIN.ensemble
GRAPHS = PLAIN.graphs
"""The graphs behind the ensemble of infection alone."""
