"""Asking a model about one radiograph, whoever computes: a server, or engines in this process."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from infmap_kit.answer.answer import Answer
from infmap_kit.errors import InputRejected, ServerError
from infmap_kit.imaging.colour import infection_map
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.radiograph import Radiograph, Reason
from infmap_kit.model.tensors import (
    ACTIVATION_MAP,
    DETECTED,
    INFECTION_MAP,
    PROBABILITY,
    SEVERITY,
    SUMMARY_OUTPUTS,
)
from infmap_kit.parts.check import dice_of
from infmap_kit.parts.reading import read_answer
from infmap_kit.parts.registry import optional_parts
from infmap_kit.triton.infmap_model import InfmapModel

_MAP = INFECTION_MAP.name
_FIGURES = (DETECTED.name, SEVERITY.name)
_SUMMARY = tuple(tensor.name for tensor in SUMMARY_OUTPUTS)


def find_infection(
    radiograph: Radiograph,
    client: InfmapModel,
    *,
    painted: bool = True,
    explained: bool = False,
    mirrored: bool = False,
    exact: bool = True,
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
    mirrored
        Whether to ask about the mirror image, too, and how far the two masks agree.
    exact
        Whether the probabilities are needed in all their digits, as for a contour at the radiograph's own size.
        Else they come in steps of 1/255, in a quarter of the bytes, from a model that serves them so; every
        figure of the answer is that of all digits either way, and so is the mask at 0.5.

    Raises
    ------
    InputRejected
        When what the engine computed for this radiograph is not a number, as FP16 gives beyond 65504.
    ServerError
        When the server does not answer.
    ExportError
        When the engines of this process cannot compute.
    """
    wanted = functools.partial(_wanted, client, painted=painted, exact=exact or mirrored)
    image_size, outputs_wanted = client.image_size(), wanted()
    while True:
        asked = time.perf_counter()
        image = network_input(radiograph.pixels, image_size)
        resized = time.perf_counter()
        try:
            outputs = client.infer(
                image,
                radiograph.pixels if painted else None,
                outputs=outputs_wanted,
                where_served=[
                    tensor.name
                    for part in optional_parts()
                    for tensor in (part.outputs if explained else part.asked_outputs)
                ],
            )
            release = client.release
            # Asked of the same release, or both again.
            other = _mirror_image(client, image) if mirrored else None
            if client.release == release:
                break
        except ServerError:
            # A release with pictures of another size, or without a summary, may have been published meanwhile.
            client.release = None
            before = image_size, outputs_wanted
            image_size, outputs_wanted = client.image_size(), wanted()
            if (image_size, outputs_wanted) == before:
                raise
    served = time.perf_counter()
    answer = read_answer(
        outputs,
        client.model(),
        {"resize": 1e3 * (resized - asked), "served": 1e3 * (served - resized)},
    )
    # Compared with a threshold, NaN would read as "not detected".
    if not math.isfinite(answer.probability_max):
        raise InputRejected(
            Reason.NOT_A_NUMBER,
            "expected probabilities of the engine, found NaN: nothing is known of this radiograph; serve the "
            "network in FP32 (`infmap-kit export --precision fp32`)",
        )
    if other is not None:
        answer = dataclasses.replace(answer, mirror_agreement=_agreement(answer, other))
    if ACTIVATION_MAP.name not in outputs:
        return answer
    table = answer.finding.colour_table
    activation_map = infection_map(radiograph.pixels, outputs[ACTIVATION_MAP.name], table)
    return dataclasses.replace(answer, activation_map=activation_map)


def asked_outputs(
    offered: Collection[str], *, painted: bool = True, exact: bool = True
) -> tuple[str, ...]:
    """The outputs that every answer is read from, of those that a model has.

    Parameters
    ----------
    offered
        Names of the model's outputs; what is exact is asked of any model, and not looked up there.
    painted, exact
        As for :func:`find_infection`.
    """
    probability = _SUMMARY if not exact and set(_SUMMARY) <= set(offered) else (PROBABILITY.name,)
    return (*_FIGURES, *probability, *([_MAP] if painted else []))


def _wanted(client: InfmapModel, *, painted: bool, exact: bool) -> tuple[str, ...]:
    # Of a new connection it takes a request to know them.
    offered = () if exact else client.offered()
    return asked_outputs(offered, painted=painted, exact=exact)


def _mirror_image(client: InfmapModel, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Probabilities of the mirror image, mirrored back, (H, H) float32."""
    name = PROBABILITY.name
    probability: NDArray[np.float32] = client.infer(
        np.ascontiguousarray(image[:, ::-1]), outputs=(name,)
    )[name]
    return probability[:, ::-1]


def _agreement(answer: Answer, other: NDArray[np.float32]) -> float:
    """Dice of the masks of two probabilities of one picture."""
    masks = [one >= np.float32(answer.finding.threshold) for one in (answer.probability, other)]
    return dice_of(int((masks[0] & masks[1]).sum()), int(masks[0].sum() + masks[1].sum()))
