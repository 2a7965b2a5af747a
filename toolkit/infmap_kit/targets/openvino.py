"""Target openvino: the ONNX graphs on OpenVINO in Triton's own backend, on CPUs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infmap_kit.model.precision import Precision
from infmap_kit.targets.backends import BackendOptions, BackendTarget, Written

if TYPE_CHECKING:
    import onnx
    from tritonclient.grpc import model_config_pb2 as pb

    from infmap_kit.gate.engines import OpenvinoEngine
    from infmap_kit.parts.contract import Contract
    from infmap_kit.progress import Progress
    from infmap_kit.targets.target import Graphs, Proof
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
    # The backend fixes a graph's batch to max_batch_size and refuses every other ("expected requests with batch
    # size '32', got '1'").
    joins_requests = False

    def write(
        self,
        options: OpenvinoOptions,
        graphs: Graphs,
        *,
        draft: Draft,
        proof: Proof,
        progress: Progress,
    ) -> Written:
        """Write the graphs, on a CPU that computes in the precision."""
        from infmap_kit.gate.engines import require_cpu_precision
        from infmap_kit.parts.contract import Contract

        require_cpu_precision(options.precision or Precision.FP32)
        detection = Contract.of_graphs(graphs).detection.name
        apart = {**graphs, detection: _with_outputs_apart(graphs[detection])}
        return super().write(options, apart, draft=draft, proof=proof, progress=progress)

    def engine(self, path: Path, precision: Precision, *, gpu: bool) -> OpenvinoEngine:
        """The graph as the backend compiles it."""
        from infmap_kit.gate.engines import OpenvinoEngine, openvino_precision

        return OpenvinoEngine(path, precision=openvino_precision(precision))

    def server_environment(self, manifest: Manifest) -> dict[str, str]:
        """Keep FP32 where FP32 was proved: by itself the backend computes in bf16 where the CPU can.

        No field of a config asks for FP32 (HINT_BF16 takes YES alone), so the library is told to leave the
        bf16 instructions of the CPU unused.
        """
        if manifest.precision != Precision.FP32:
            return {}
        return {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI"}

    def inspected(self, manifest: Manifest, network: OpenvinoEngine) -> Mapping[str, int]:
        """Asked of the compiled network."""
        return network.precisions()

    def config(self, config: pb.ModelConfig, options: Any, contract: Contract) -> None:
        """Ask for the latency of single radiographs, and for bf16 where the networks have it."""
        config.parameters["PERFORMANCE_HINT"].string_value = "LATENCY"
        if options.precision is Precision.BF16 and contract.is_network(config.name):
            config.parameters["HINT_BF16"].string_value = "YES"


def _with_outputs_apart(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Outputs that repeat an input by an Identity repeat it by adding 0, which changes no bit of a probability.

    OpenVINO folds an Identity into one tensor of two names, of which the backend of 24.10 takes the wrong one.
    """
    import onnx
    from onnx import helper

    apart = onnx.ModelProto()
    apart.CopyFrom(graph)
    outputs = {value.name for value in apart.graph.output}
    for node in apart.graph.node:
        if node.op_type == "Identity" and node.output[0] in outputs:
            node.op_type = "Add"
            node.input.append("no_change")
    apart.graph.initializer.append(
        helper.make_tensor("no_change", onnx.TensorProto.FLOAT, (), [0.0])
    )
    return apart
