"""Asking a model about one radiograph, whoever computes: a server, or engines in this process."""

from __future__ import annotations

import dataclasses
import time

from infmap_kit.answer.answer import Answer
from infmap_kit.errors import ServerError
from infmap_kit.imaging.colour import infection_map
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.model.tensors import ACTIVATION_MAP, DETECTED, INFECTION_MAP, PROBABILITY, SEVERITY
from infmap_kit.parts.reading import read_answer
from infmap_kit.parts.registry import optional_parts
from infmap_kit.triton.infmap_model import InfmapModel

_MAP = INFECTION_MAP.name
_FIGURES = (DETECTED.name, SEVERITY.name, PROBABILITY.name)


def find_infection(
    radiograph: Radiograph, client: InfmapModel, *, painted: bool = True, explained: bool = False
) -> Answer:
    """Ask a model about one radiograph; of what a server computes, nothing but the pixels leaves this process.

    Parameters
    ----------
    radiograph
        The radiograph.
    client
        A server's client, or engines in this process
        (:func:`~infmap_kit.serving.in_process.open_repository`); the answer names the very model that gave
        it, whatever is served before and after.
    painted
        Whether to ask for the map, at the radiograph's own size; it takes longest.
    explained
        Whether to ask where a classifier looked, too, if one is served.

    Raises
    ------
    ServerError
        When the server does not answer.
    ExportError
        When the engines of this process cannot compute.
    """
    image_size = client.image_size()
    while True:
        asked = time.perf_counter()
        image = network_input(radiograph.pixels, image_size)
        resized = time.perf_counter()
        try:
            outputs = client.infer(
                image,
                radiograph.pixels if painted else None,
                outputs=(*_FIGURES, _MAP) if painted else _FIGURES,
                where_served=[
                    tensor.name
                    for part in optional_parts()
                    for tensor in (part.outputs if explained else part.asked_outputs)
                ],
            )
            break
        except ServerError:
            # A release that takes pictures of another size may have been published meanwhile.
            client.release = None
            before, image_size = image_size, client.image_size()
            if image_size == before:
                raise
    served = time.perf_counter()
    answer = read_answer(
        outputs,
        client.model(),
        {"resize": 1e3 * (resized - asked), "served": 1e3 * (served - resized)},
    )
    if ACTIVATION_MAP.name not in outputs:
        return answer
    table = answer.finding.colour_table
    activation_map = infection_map(radiograph.pixels, outputs[ACTIVATION_MAP.name], table)
    return dataclasses.replace(answer, activation_map=activation_map)
