"""Step: the same network on PyTorch, whose cuDNN kernels are chosen by other code than ONNX Runtime's."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from step import BATCHES, Finding, NotRun, Payload, compared, main, request, timed

from infmap_kit.gate.bounds import thresholds_for
from infmap_kit.gate.runners import EngineRunner
from infmap_kit.graphs.precision.half_weights import with_plain_weights

CONVERTERS_OPSET = 13
"""The newest opset whose Pad and Resize onnx2torch knows."""


class TorchEngine:
    """A graph as a PyTorch module; an engine of the gate.

    Parameters
    ----------
    graph
        The serialized network.
    """

    def __init__(self, graph: bytes) -> None:
        for package in ("torch", "onnx2torch"):
            if importlib.util.find_spec(package) is None:
                raise NotRun(f"{package} is not installed")
        import onnx2torch
        import torch

        # On Ampere and later FP32 would quietly become TF32.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.module = onnx2torch.convert(_in_older_opset(graph)).to(self.device).eval()
        self._torch = torch

    def run(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        """Compute the network's only output."""
        (name,), (pixels,) = outputs, inputs.values()
        return {
            name: self.compute(self._torch.from_numpy(np.ascontiguousarray(pixels))).cpu().numpy()
        }

    def compute(self, pixels: Any) -> Any:
        """The probability of a uint8 tensor, ready on the device."""
        with self._torch.inference_mode():
            answer = self.module(pixels.to(self.device))
        if self.device == "cuda":
            self._torch.cuda.synchronize()
        return answer


def run(payload: Payload) -> Iterator[Finding]:
    """FP32 by the gate's bounds, and times."""
    _, opened = payload.opened("onnxruntime-fp32")
    engine = TorchEngine(payload.network("onnxruntime-fp32"))
    engines = {**opened.engines, opened.contract.networks[0].name: engine}
    pictures = payload.pictures()
    what = f"PyTorch, fp32 on {engine.device}"
    yield compared(
        what,
        payload.reference(),
        EngineRunner(engines, opened.contract),
        pictures,
        thresholds_for("fp32"),
    )
    import torch

    for batch in BATCHES:
        pixels = torch.from_numpy(request(pictures, batch)).to(engine.device)
        samples = max(3, payload.samples // batch)
        name = f"{what}, batch {batch}, resident"
        yield timed(name, lambda: engine.compute(pixels), batch=batch, samples=samples)  # noqa: B023


def _in_older_opset(graph: bytes) -> onnx.ModelProto:
    """The same graph by the name of an older opset, in which its operators mean the same."""
    model = with_plain_weights(onnx.load_from_string(graph))
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx"):
            opset.version = min(opset.version, CONVERTERS_OPSET)
    # Refuses what only the newer opset knows.
    onnx.checker.check_model(model)
    return model


if __name__ == "__main__":
    main(run)
