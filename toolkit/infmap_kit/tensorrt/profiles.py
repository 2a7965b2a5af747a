"""The shapes that each graph's engine is built and tuned for."""

from __future__ import annotations

import functools

from infmap_kit.errors import ExportError
from infmap_kit.model.tensors import CANVAS, IMAGE
from infmap_kit.parts.contract import PLAIN, Contract
from infmap_kit.tensorrt.builder import Profile, Shape

LARGEST_CANVAS = 5120
"""Height and width in pixels of the largest picture that a map is painted on alone; detectors of
43 cm with pixels of 0.1 mm give 4300."""

LARGEST_BATCHED_CANVAS = 1024
"""Height and width in pixels of the largest picture in a batch. Memory is set aside for the largest shape: 32
of these take about as much as the largest picture alone."""


def profiles_of(
    graph: str, batches: tuple[int, ...], contract: Contract = PLAIN
) -> tuple[Profile, ...]:
    """Optimisation profiles of a graph.

    Parameters
    ----------
    graph
        Name of the graph.
    batches
        Rising batch sizes; a network has a profile tuned for each.
    contract
        The contract of the model.

    Raises
    ------
    ExportError
        For a graph that is not served.
    """
    largest = batches[-1]
    pictures = functools.partial(_shape, contract.image_size)
    up_to_largest = (pictures(1), pictures(1), pictures(largest))
    if contract.is_network(graph):
        return tuple({IMAGE.name: (pictures(1), pictures(b), pictures(b))} for b in batches)
    for other in contract.fp32_networks:
        if graph == other.name:
            shapes = {t.name: ((1, *t.shape), (largest, *t.shape)) for t in other.inputs}
            return ({name: (one, one, most) for name, (one, most) in shapes.items()},)
    for other in contract.postprocessing:
        if graph == other.name != contract.rendering.name:
            return ({tensor.name: up_to_largest for tensor in other.inputs},)
    if graph == contract.rendering.name:
        batched = (largest, LARGEST_BATCHED_CANVAS, LARGEST_BATCHED_CANVAS)
        probabilities = [t.name for t in contract.rendering.inputs if t.name != CANVAS.name]
        return (
            {
                **dict.fromkeys(probabilities, (pictures(1), pictures(1), pictures(1))),
                CANVAS.name: ((1, 1, 1), (1, 2048, 2048), (1, LARGEST_CANVAS, LARGEST_CANVAS)),
            },
            {
                **dict.fromkeys(probabilities, (pictures(1), pictures(largest), pictures(largest))),
                CANVAS.name: ((1, 1, 1), batched, batched),
            },
        )
    names = ", ".join(served.name for served in contract.graphs)
    raise ExportError(f"expected a graph of {names}, found {graph!r}")


def _shape(image_size: int, count: int) -> Shape:
    return (count, image_size, image_size)
