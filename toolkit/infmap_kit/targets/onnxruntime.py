"""Target onnxruntime: the ONNX graphs themselves on ONNX Runtime, which Triton brings for GPUs and CPUs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infmap_kit.errors import HostMismatch, SpecError
from infmap_kit.model.precision import Precision
from infmap_kit.targets.backends import (
    BackendTarget,
    HalvableOptions,
    Written,
    on_gpu,
)
from infmap_kit.targets.target import Graphs, Proof
from infmap_kit.triton.repository import Manifest

if TYPE_CHECKING:
    from tritonclient.grpc import model_config_pb2 as pb

    from infmap_kit.gate.engines import Engine
    from infmap_kit.parts.contract import Contract
    from infmap_kit.progress import Progress
    from infmap_kit.triton.releases import Draft

ENGINE_CACHE = "/var/cache/infmap-kit"
"""Folder in the server's container that a volume keeps."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnnxruntimeOptions(HalvableOptions):
    """Options of the ensemble on ONNX Runtime.

    Parameters
    ----------
    gpu
        Whether it runs on the GPU.
    accelerator
        Whether it hands the networks to TensorRT, which then builds its engine whenever the server starts:
        minutes, but it fits whatever GPU there is.
    """

    target = "onnxruntime"
    precisions = (Precision.FP32, Precision.FP16)

    gpu: bool = dataclasses.field(  # type: ignore[misc]
        default=True,
        metadata={
            "help": "Run the onnxruntime target on the CPU even if there is a GPU.",
            "flag": " /--cpu",
        },
    )
    accelerator: bool = dataclasses.field(
        default=False,
        metadata={"help": "Let ONNX Runtime build a TensorRT engine when the server starts."},
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.accelerator and not self.gpu:
            raise SpecError(
                "the TensorRT accelerator belongs to target onnxruntime on a GPU: give it there only"
            )


class Onnxruntime(BackendTarget):
    """Graphs that ONNX Runtime loads."""

    options = OnnxruntimeOptions
    backend = "onnxruntime"

    def write(
        self,
        options: OnnxruntimeOptions,
        graphs: Graphs,
        *,
        draft: Draft,
        proof: Proof,
        progress: Progress,
    ) -> Written:
        """Write the graphs.

        Those in FP16 are proved as a GPU computes them: a CPU would not round.
        """
        from infmap_kit.gate.cuda_engine import has_cuda_provider
        from infmap_kit.gate.engines import OnnxRuntimeEngine
        from infmap_kit.graphs.precision.fp16_emulation import emulated_fp16
        from infmap_kit.targets.lowered import fp16_record, halved_networks

        accelerator = {"accelerator": options.accelerator}
        if options.precision is not Precision.FP16:
            written = super().write(options, graphs, draft=draft, proof=proof, progress=progress)
            return dataclasses.replace(written, model=accelerator)
        halves = halved_networks(graphs, options.keep_fp32, proof, progress)
        served = {**graphs, **{name: half.model for name, half in halves.items()}}
        written = super().write(options, served, draft=draft, proof=proof, progress=progress)
        engines = dict(written.engines)
        if options.gpu and not has_cuda_provider():
            for name, half in halves.items():
                rounding = emulated_fp16(graphs[name], half)
                engines[name] = OnnxRuntimeEngine(rounding.SerializeToString())
        return Written(engines=engines, model={**accelerator, "fp16": fp16_record(halves)})

    def engine(self, path: Path, precision: Precision, *, gpu: bool) -> Engine:
        """The graph on the GPU, where it is served there and this Python can ask it; else on the CPU."""
        from infmap_kit.gate.cuda_engine import CudaEngine, has_cuda_provider
        from infmap_kit.gate.engines import OnnxRuntimeEngine

        graph = path.read_bytes()
        return CudaEngine(graph) if gpu and has_cuda_provider() else OnnxRuntimeEngine(graph)

    def require_serving_host(self, repository: Path, manifest: Manifest) -> None:
        """Require a GPU where it is served on one: a CPU would not round as it does."""
        from infmap_kit.gate.cuda_engine import has_cuda_provider

        if on_gpu(manifest) and not has_cuda_provider():
            raise HostMismatch(
                f"{repository} is for ONNX Runtime on an NVIDIA GPU, and this machine has none, or this Python "
                "no onnxruntime-gpu: serve it on its host and name the server with --url, or export with --cpu"
            )

    def server_environment(self, manifest: Manifest) -> dict[str, str]:
        """Keep FP32 where FP32 was proved: by itself the backend computes in TF32 on Ampere and later.

        TF32 has the digits of FP16. The variable is NVIDIA's own, for all of its libraries.
        """
        fp32 = manifest.precision == Precision.FP32
        return {"NVIDIA_TF32_OVERRIDE": "0"} if on_gpu(manifest) and fp32 else {}

    def references(self, repository: Path, manifest: Manifest) -> dict[str, Path]:
        """The repository's own graphs, where they are in FP32."""
        fp32 = manifest.precision == Precision.FP32
        return super().references(repository, manifest) if fp32 else {}

    def config(self, config: pb.ModelConfig, options: Any, contract: Contract) -> None:
        """Settings of a graph's session, and TensorRT for a network, where that is asked for."""
        network = contract.is_network(config.name)
        small = config.name in [graph.name for graph in contract.postprocessing]
        if options.gpu and not small:
            # 1 is HEURISTIC. By default cuDNN tries every algorithm at the first request of each size.
            config.parameters["cudnn_conv_algo_search"].string_value = "1"
        elif small and not options.gpu:
            # Handing such a small graph to several threads costs more than computing it.
            config.parameters["intra_op_thread_count"].string_value = "1"
        if options.accelerator and network:
            self._accelerate(config, options, contract.image_size)

    def _accelerate(
        self, config: pb.ModelConfig, options: OnnxruntimeOptions, image_size: int
    ) -> None:
        from infmap_kit.model.tensors import IMAGE

        accelerators = config.optimization.execution_accelerators
        accelerator = accelerators.gpu_execution_accelerator.add(name="tensorrt")
        # A common range for all batches, or TensorRT builds anew at each size it has not seen. No precision is
        # asked for: it follows from the graph's own types.
        for key, batch in (
            ("trt_profile_min_shapes", 1),
            ("trt_profile_opt_shapes", options.batches[0]),
            ("trt_profile_max_shapes", options.batches[-1]),
        ):
            accelerator.parameters[key] = f"{IMAGE.name}:{batch}x{image_size}x{image_size}"
        # Minutes of building are spent once a host, not once a start.
        accelerator.parameters["trt_engine_cache_enable"] = "1"
        accelerator.parameters["trt_engine_cache_path"] = f"{ENGINE_CACHE}/{config.name}"

    def engine_cache(self, manifest: Manifest) -> str:
        """The folder of the engines that TensorRT builds when the server starts; empty without them."""
        return ENGINE_CACHE if manifest.model.get("accelerator") else ""
