"""Target openvino: the ONNX graphs on OpenVINO in Triton's own backend, on CPUs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infmap_kit.model.precision import Precision
from infmap_kit.targets.backends import BackendOptions, BackendTarget, Written

if TYPE_CHECKING:
    from tritonclient.grpc import model_config_pb2 as pb

    from infmap_kit.gate.engines import OpenvinoEngine
    from infmap_kit.parts.contract import Contract
    from infmap_kit.progress import Progress
    from infmap_kit.targets.target import Graphs
    from infmap_kit.triton.releases import Draft
    from infmap_kit.triton.repository import Manifest


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenvinoOptions(BackendOptions):
    """Options of the ensemble on OpenVINO."""

    target = "openvino"
    precisions = (Precision.FP32, Precision.BF16)


class Openvino(BackendTarget):
    """Graphs that OpenVINO loads; it lowers their precision itself."""

    options = OpenvinoOptions
    backend = "openvino"

    def write(
        self, options: OpenvinoOptions, graphs: Graphs, *, draft: Draft, progress: Progress
    ) -> Written:
        """Write the graphs, on a CPU that computes in the precision."""
        from infmap_kit.gate.engines import require_cpu_precision

        require_cpu_precision(options.precision or Precision.FP32)
        return super().write(options, graphs, draft=draft, progress=progress)

    def engine(self, path: Path, precision: Precision) -> OpenvinoEngine:
        """The graph as the backend compiles it."""
        from infmap_kit.gate.engines import OpenvinoEngine, openvino_precision

        return OpenvinoEngine(path, precision=openvino_precision(precision))

    def inspected(self, manifest: Manifest, network: OpenvinoEngine) -> Mapping[str, int]:
        """Asked of the compiled network."""
        return network.precisions()

    def config(self, config: pb.ModelConfig, options: Any, contract: Contract) -> None:
        """Ask for the latency of single radiographs, and for bf16 where the networks have it."""
        config.parameters["PERFORMANCE_HINT"].string_value = "LATENCY"
        if options.precision is Precision.BF16 and config.max_batch_size:
            config.parameters["HINT_BF16"].string_value = "YES"
