"""Triton python backend model: one ONNX graph on OpenVINO.

`infmap-kit export --target embedded` copies this file beside each graph as ``model.py``; so it
imports nothing of infmap-kit. Tensors cross by DLPack: ``as_numpy()`` of Triton before 24.11 is
silently wrong with NumPy 2.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

# Triton's stub runs Python isolated, which ignores PYTHONPATH; the packages of the environment that
# started the server are found by it all the same.
sys.path[:0] = [
    path
    for path in os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if path and path not in sys.path
]

import numpy as np  # noqa: E402  # after the path is set
import openvino  # noqa: E402


def compile_graph(path: Path, *, precision: str, threads: int) -> Any:
    """Compile an ONNX file for this CPU.

    Parameters
    ----------
    path
        The graph.
    precision
        ``f32`` or ``bf16``, as OpenVINO names them.
    threads
        0 is all cores.

    Returns
    -------
    openvino.CompiledModel
        The engine.
    """
    return openvino.Core().compile_model(
        str(path),
        "CPU",
        {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads or os.cpu_count() or 1,
            # Pinned, the engines of three processes would share the first core.
            "ENABLE_CPU_PINNING": False,
        },
    )


class TritonPythonModel:
    """Loads ``model.onnx`` of its version folder once, and answers requests one by one."""

    def initialize(self, args: dict[str, str]) -> None:
        """Compile the graph with the precision and threads of the model's config."""
        # Exists only inside the server.
        import triton_python_backend_utils as pb_utils

        self._pb_utils = pb_utils
        config = json.loads(args["model_config"])
        parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
        engine = compile_graph(
            Path(args["model_repository"]) / args["model_version"] / "model.onnx",
            precision=parameters["precision"],
            threads=int(parameters["threads"]),
        )
        self._request = engine.create_infer_request()
        self._input_names = [item["name"] for item in config["input"]]
        self._outputs = {item["name"]: engine.output(item["name"]) for item in config["output"]}

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer each request with the outputs that it asks for."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        pb_utils = self._pb_utils
        inputs = {
            name: np.from_dlpack(pb_utils.get_input_tensor_by_name(request, name))
            for name in self._input_names
        }
        try:
            self._request.infer(inputs, share_inputs=True)
        except RuntimeError as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
        # Copied, since the next request of the same call writes to the engine's own memory.
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor.from_dlpack(
                    name, np.array(self._request.get_tensor(self._outputs[name]).data)
                )
                for name in request.requested_output_names()
            ]
        )
