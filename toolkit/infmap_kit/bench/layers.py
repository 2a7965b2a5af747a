"""The time of each layer of the compiled graph, as measured by OpenVINO's profiler."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from infmap_kit.errors import SpecError
from infmap_kit.gate.engines import OpenvinoEngine, in_one_line
from infmap_kit.report.table import Table
from infmap_kit.targets.registry import find
from infmap_kit.triton.repository import check_repository

_OPTIONS = (
    "PERFORMANCE_HINT",
    "INFERENCE_PRECISION_HINT",
    "INFERENCE_NUM_THREADS",
    "ENABLE_CPU_PINNING",
)
"""What the runner compiles with, taken over."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer of a compiled graph that is computed for each picture.

    Parameters
    ----------
    name
        The layer; several of the network's may be fused in it.
    kind
        Type of the layer in the compiled graph, such as ``Convolution``, ``Reorder`` or ``Convert``.
    precision
        Type that it computes in, as OpenVINO reports it.
    kernel
        The code that computes it, such as ``brgconv_avx512_amx_I8``.
    layout
        Order of its output's dimensions in memory.
    ms
        Milliseconds a picture: the mean of all requests. As noisy as the machine.
    """

    name: str
    kind: str
    precision: str
    kernel: str
    layout: str
    ms: float


def measure_layers(repository: Path, *, requests: int = 100) -> list[Layer]:
    """Compute a repository's network with OpenVINO's profiler on, in the order of computing.

    The graph is compiled as the runner compiles it for one picture.

    Parameters
    ----------
    repository
        Its network's engine must be OpenVINO's.
    requests
        Requests that are averaged.

    Raises
    ------
    SpecError
        When the engine is another library's.
    """
    manifest = check_repository(repository)
    opened = find(manifest.target).open(repository, manifest)
    engine = opened.engines[opened.contract.networks[0].name]
    if not isinstance(engine, OpenvinoEngine):
        raise SpecError(
            f"expected a network that OpenVINO computes, found target {manifest.target}: layers are known of "
            "targets embedded and openvino"
        )
    return layers_of(engine, requests=requests)


def layers_of(engine: OpenvinoEngine, *, requests: int = 100) -> list[Layer]:
    """The layers of an engine; see :func:`measure_layers`."""
    import openvino

    served = engine.graph.compiled
    options = {name: served.get_property(name) for name in _OPTIONS}
    with in_one_line("OpenVINO cannot profile the graph"):
        core = openvino.Core()
        model = core.read_model(engine.path)
        model.reshape({one.any_name: list(one.shape) for one in served.inputs})
        compiled = core.compile_model(model, "CPU", {**options, "PERF_COUNT": True})
        request = compiled.create_infer_request()
        random = np.random.default_rng(0)
        pictures = {
            one.any_name: random.integers(256, size=tuple(one.shape)).astype(np.uint8)
            for one in compiled.inputs
        }
        for _ in range(requests):
            request.infer(pictures)
    # Reshaped biases and the like are computed once, when the graph is compiled.
    executed = openvino.ProfilingInfo.Status.EXECUTED
    profiled = [one for one in request.get_profiling_info() if one.status == executed]
    ms = {one.node_name: one.real_time.total_seconds() * 1e3 for one in profiled}
    nodes = {one.get_friendly_name(): one for one in compiled.get_runtime_model().get_ordered_ops()}
    told = {name: node.get_rt_info() for name, node in nodes.items() if name in ms}
    return [
        Layer(
            name=name,
            kind=_told(info, "layerType"),
            precision=_told(info, "runtimePrecision"),
            kernel=_told(info, "primitiveType"),
            layout=_told(info, "outputLayouts"),
            ms=round(ms[name], 4),
        )
        for name, info in told.items()
    ]


def _told(told: Any, key: str) -> str:
    return str(told[key].astype(str)) if key in told else ""


def layers_table(layers: Sequence[Layer]) -> Table:
    """A table with one row for all layers of a kind and a precision, the longest first."""
    groups: dict[tuple[str, str], list[float]] = collections.defaultdict(list)
    for layer in layers:
        groups[layer.kind, layer.precision].append(layer.ms)
    total = sum(layer.ms for layer in layers) or 1.0
    rows = [
        (kind, precision, str(len(times)), f"{sum(times):.2f}", f"{100 * sum(times) / total:.0f}")
        for (kind, precision), times in sorted(groups.items(), key=lambda group: -sum(group[1]))
    ]
    note = "Mean ms a picture, with the profiler on; --json has every layer with its kernel and layout."
    return Table("", ("layers", "precision", "number", "ms", "%"), rows, notes=[note])
