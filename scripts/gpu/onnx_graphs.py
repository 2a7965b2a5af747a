"""Step: the FP32, FP16 and Q/DQ graphs on ONNX Runtime's CUDA provider, the one of Triton's own backend."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from step import BATCHES, Finding, NotRun, Payload, compared, device, main, request, timed

from infmap_kit.errors import ExportError
from infmap_kit.gate.bounds import thresholds_for
from infmap_kit.gate.cuda_engine import CudaEngine
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.runners import BatchedRunner, EngineRunner
from infmap_kit.model.tensors import IMAGE, RAW_PROBABILITY

SAME = 1e-3
"""Error of a probability that a replayed CUDA graph may have: the same kernels, chosen anew."""


def run(payload: Payload) -> Iterator[Finding]:
    """Every graph that was packed, one after the other."""
    for precision in ("fp32", "fp16", "int8"):
        try:
            yield from _graph(payload, precision)
        except NotRun as reason:
            yield Finding(what=precision, found=f"not run: {reason}")


def _graph(payload: Payload, precision: str) -> Iterator[Finding]:
    """Decisions in every batch size, and then times."""
    # A graph in Q/DQ comes alone; detection and rendering are those of FP32.
    name = "onnxruntime-fp32" if precision == "int8" else f"onnxruntime-{precision}"
    graph = payload.int8_graph() if precision == "int8" else payload.network(name)
    _, opened = payload.opened(name)
    where, pictures = device(), payload.pictures()
    engine = CudaEngine(graph) if where == "cuda" else OnnxRuntimeEngine(graph)
    engines = {**opened.engines, opened.contract.networks[0].name: engine}
    runner, reference = EngineRunner(engines, opened.contract), payload.reference()
    for batch in BATCHES:
        asked = runner if batch == 1 else BatchedRunner(runner, pictures, batch)
        what = f"{precision} on {where}, batch {batch}"
        yield compared(what, reference, asked, pictures, thresholds_for(precision))
    for batch in BATCHES:
        what = f"{precision} on {where}, batch {batch}"
        inputs = {IMAGE.name: request(pictures, batch)}
        samples = max(3, payload.samples // batch)

        def whole(inputs: Mapping[str, NDArray[np.uint8]] = inputs) -> Any:
            return engine.run(inputs, (RAW_PROBABILITY.name,))

        yield timed(f"{what}, from host memory", whole, batch=batch, samples=samples)
        if isinstance(engine, CudaEngine):
            resident = engine.resident(inputs)
            yield timed(f"{what}, resident", resident, batch=batch, samples=samples)
            yield from _recorded(f"{what}, CUDA graph", graph, inputs, whole(), batch, samples)
    if where == "cpu":
        yield Finding(what=f"{precision}, resident and as a CUDA graph", found="not run: no GPU")


def _recorded(
    what: str,
    graph: bytes,
    inputs: Mapping[str, NDArray[np.uint8]],
    expected: Mapping[str, NDArray[Any]],
    batch: int,
    samples: int,
) -> Iterator[Finding]:
    try:
        compute, outputs = CudaEngine(graph, recorded=True).bound(inputs)
        yield timed(what, compute, batch=batch, samples=samples)
    except ExportError as refusal:
        yield Finding(what=what, found=f"not run: {refusal}")
        return
    name = RAW_PROBABILITY.name
    error = float(np.abs(outputs()[name] - expected[name]).max())
    yield Finding(
        what=f"{what}, its answer",
        expected=f"probabilities within {SAME:g} of those without it",
        found=f"{error:.1e}",
        passed=error <= SAME,
    )


if __name__ == "__main__":
    main(run)
