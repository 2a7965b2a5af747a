"""Answers of a server over gRPC and HTTP, and whether two of them say the same."""

from __future__ import annotations

import http.client
import json
from collections.abc import Collection, Iterator, Mapping
from itertools import combinations
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import ServerError
from infmap_kit.gate.bounds import Thresholds
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.tensors import CANVAS, IMAGE
from infmap_kit.parts.contract import ENSEMBLE, Contract

Answer = Mapping[str, NDArray[Any]]
"""Output name to array, without the batch dimension."""

_TIMEOUT_S = 60.0
_MAP_LEVELS = 8
_CANVAS = (160, 120)
_TYPES = {"UINT8": np.uint8, "FP32": np.float32}


def question() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Network input, and a canvas of another size: a synthetic radiograph, nobody's."""
    height, width = _CANVAS
    pixels = synthetic_radiograph(0, height=512, width=512).radiograph.pixels
    return network_input(pixels), np.ascontiguousarray(pixels[:height, :width])


def subsets(contract: Contract) -> Iterator[tuple[str, ...]]:
    """All 15 subsets of the outputs that every model has; where there are more, each alone and all at once."""
    common = [tensor.name for tensor in ENSEMBLE.outputs]
    for size in range(1, len(common) + 1):
        yield from combinations(common, size)
    names = tuple(tensor.name for tensor in contract.ensemble.outputs)
    further = [name for name in names if name not in common]
    yield from ((name,) for name in further)
    if further:
        yield names


def ask_over_http(
    url: str, image: NDArray[np.uint8], canvas: NDArray[np.uint8], outputs: Collection[str]
) -> dict[str, NDArray[Any]]:
    """Ask for some outputs of one radiograph by the KServe V2 protocol, in plain JSON.

    Parameters
    ----------
    url
        The server's HTTP endpoint.
    image, canvas
        (224, 224) and (H, W) uint8.
    outputs
        Names of outputs.

    Raises
    ------
    ServerError
        When the server does not answer, or refuses.
    """
    inputs = [
        {"name": name, "shape": [1, *pixels.shape], "datatype": "UINT8", "data": pixels.tolist()}
        for name, pixels in ((IMAGE.name, image), (CANVAS.name, canvas))
    ]
    body = json.dumps({"inputs": inputs, "outputs": [{"name": name} for name in outputs]})
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_TIMEOUT_S)
    try:
        path = f"/v2/models/{ENSEMBLE.name}/infer"
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        document = json.loads(reply.read())
        if reply.status != http.HTTPStatus.OK:
            raise ServerError(
                f"the server refused over HTTP: {document.get('error', reply.status)}"
            )
        return {
            tensor["name"]: np.array(tensor["data"], _TYPES[tensor["datatype"]]).reshape(
                tensor["shape"]
            )[0]
            for tensor in document["outputs"]
        }
    except (OSError, http.client.HTTPException) as error:
        raise ServerError(f"the server does not answer over HTTP: {error}") from error
    except (ValueError, KeyError) as error:
        raise ServerError(f"the server's answer over HTTP cannot be read: {error!r}") from error
    finally:
        connection.close()


def difference(expected: Answer, actual: Answer, bounds: Thresholds) -> str:
    """The difference of an answer from another to the same question; empty when it says the same.

    Not to the bit: a GPU computes requests that were joined by other kernels. Decisions must be equal, and
    everything else within the bounds of the gate.
    """
    if expected.keys() != actual.keys():
        return f"expected {', '.join(sorted(expected))}, found {', '.join(sorted(actual))}"
    for name, value in expected.items():
        other = actual[name]
        if value.shape != other.shape or value.dtype != other.dtype:
            return f"{name} is {other.dtype} {other.shape} instead of {value.dtype} {value.shape}"
        apart = np.abs(value.astype(np.float64) - other.astype(np.float64))
        if value.dtype == np.uint8:
            levels = 0 if value.size == 1 else _MAP_LEVELS
            if (share := float((apart > levels).mean())) > bounds.max_map_error_share:
                return f"{name} differs in {share:.1%} of its values"
            continue
        # Probabilities, and percentages of an area.
        is_share = float(np.abs(value).max(initial=0)) <= 1
        bound = bounds.max_error_p999 if is_share else bounds.max_severity_change_percent
        if not (error := float(np.quantile(apart, 0.999))) <= bound:
            return f"{name} is {error:.3g} off"
    return ""
