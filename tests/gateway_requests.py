"""Requests to a gateway, in order and out of it, and how they are refused."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph

INFER = "/v2/models/infmap/infer"


@functools.cache
def served_picture() -> NDArray[np.uint8]:
    return network_input(synthetic_radiograph(0, height=512, width=512).radiograph.pixels)


def ask_by_grpc(client: Any, image: NDArray[np.uint8] | None = None, **options: Any) -> Any:
    from tritonclient import grpc

    tensors = {"IMAGE": served_picture()[np.newaxis] if image is None else image}
    tensors["CANVAS"] = np.zeros((len(tensors["IMAGE"]), 1, 1), np.uint8)
    inputs = [
        grpc.InferInput(name, list(array.shape), "UINT8").set_data_from_numpy(array)
        for name, array in tensors.items()
    ]
    wanted = [grpc.InferRequestedOutput(name) for name in ("SEVERITY", "PROBABILITY")]
    return client.infer("infmap", inputs, outputs=wanted, **options)


def request_document(**changes: Any) -> dict[str, Any]:
    """A request as tritonclient writes it, in the binary tensor extension."""
    document = {
        "inputs": [
            {"name": "IMAGE", "shape": [1, 224, 224], "datatype": "UINT8",
             "parameters": {"binary_data_size": 224 * 224}},
            {"name": "CANVAS", "shape": [1, 1, 1], "datatype": "UINT8",
             "parameters": {"binary_data_size": 1}},
        ],
        "outputs": [{"name": "SEVERITY", "parameters": {"binary_data": True}}],
    }  # fmt: skip
    return {**document, **changes}


TENSORS = b"\0" * 224 * 224 + b"\0"


def binary_request(header: bytes, tensors: bytes) -> dict[str, Any]:
    return {
        "body": header + tensors,
        "headers": {"Inference-Header-Content-Length": str(len(header))},
    }


def grpc_refusal(client: Any, **options: Any) -> tuple[str, str]:
    from tritonclient.utils import InferenceServerException

    with pytest.raises(InferenceServerException) as refused:
        ask_by_grpc(client, **options)
    return str(refused.value.status()), str(refused.value.message())


def grpc_message() -> Any:
    """A request that is in order."""
    from tritonclient.grpc import service_pb2

    message = service_pb2.ModelInferRequest(model_name="infmap")
    for name, shape, pixels in (
        ("IMAGE", [1, 224, 224], bytes(224 * 224)),
        ("CANVAS", [1, 1, 1], b"\0"),
    ):
        message.inputs.add(name=name, shape=shape, datatype="UINT8")
        message.raw_input_contents.append(pixels)
    message.outputs.add(name="SEVERITY")
    return message
