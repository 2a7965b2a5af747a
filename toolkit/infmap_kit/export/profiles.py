"""The shapes that each graph's engine is built and tuned for."""

from __future__ import annotations

from infmap_kit.errors import ExportError
from infmap_kit.export.tensorrt import Profile, Shape
from infmap_kit.graphs.contract import (
    CANVAS,
    DETECTION,
    IMAGE,
    RAW_PROBABILITY,
    RENDERING,
    SEGMENTATION,
)
from infmap_kit.spec import IMAGE_SIZE

LARGEST_CANVAS = 5120
"""Height and width in pixels of the largest picture that a map is painted on alone; detectors of
43 cm with pixels of 0.1 mm give 4300."""

LARGEST_BATCHED_CANVAS = 1024
"""The same for a batch. Memory is set aside for the largest shape: 32 of these are about as much as one
of the largest."""


def profiles_of(graph: str, batches: tuple[int, ...]) -> tuple[Profile, ...]:
    """Optimisation profiles of one of the three graphs.

    Parameters
    ----------
    graph
        Its name.
    batches
        Rising batch sizes; the segmentation has a profile tuned for each.

    Raises
    ------
    ExportError
        For a graph that is none of the three.
    """
    largest = batches[-1]
    if graph == SEGMENTATION.name:
        return tuple({IMAGE.name: (_pictures(1), _pictures(b), _pictures(b))} for b in batches)
    if graph == DETECTION.name:
        return ({RAW_PROBABILITY.name: (_pictures(1), _pictures(1), _pictures(largest))},)
    if graph == RENDERING.name:
        return (
            {
                RAW_PROBABILITY.name: (_pictures(1), _pictures(1), _pictures(1)),
                CANVAS.name: ((1, 1, 1), (1, 2048, 2048), (1, LARGEST_CANVAS, LARGEST_CANVAS)),
            },
            {
                RAW_PROBABILITY.name: (_pictures(1), _pictures(largest), _pictures(largest)),
                CANVAS.name: (
                    (1, 1, 1),
                    (largest, LARGEST_BATCHED_CANVAS, LARGEST_BATCHED_CANVAS),
                    (largest, LARGEST_BATCHED_CANVAS, LARGEST_BATCHED_CANVAS),
                ),
            },
        )
    names = ", ".join(g.name for g in (SEGMENTATION, DETECTION, RENDERING))
    raise ExportError(f"expected a graph of {names}, found {graph!r}")


def _pictures(count: int) -> Shape:
    return (count, IMAGE_SIZE, IMAGE_SIZE)
