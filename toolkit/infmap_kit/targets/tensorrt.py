"""Target tensorrt: plans, built on the GPU that serves them."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infmap_kit.errors import HostMismatch
from infmap_kit.model.precision import Precision
from infmap_kit.targets.backends import BackendTarget, HalvableOptions, Written
from infmap_kit.targets.check import HostCheck, problem
from infmap_kit.targets.target import CalibratedOptions, Graphs, OpenedModel, Proof
from infmap_kit.triton.repository import Manifest, served_contract

if TYPE_CHECKING:
    from tritonclient.grpc import model_config_pb2 as pb

    from infmap_kit.gate.engines import Engine
    from infmap_kit.graphs.precision.fp16 import Fp16Graph
    from infmap_kit.graphs.precision.qdq import QdqGraph
    from infmap_kit.parts.contract import Contract
    from infmap_kit.progress import Progress
    from infmap_kit.tensorrt.gpus import Image
    from infmap_kit.tensorrt.present_gpu import PresentGpu
    from infmap_kit.triton.releases import Draft


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorrtOptions(CalibratedOptions, HalvableOptions):
    """Options of the ensemble on TensorRT.

    Parameters
    ----------
    portable
        Whether the plans run on every GPU of this one's compute capability.
    version_compatible
        Whether later versions of TensorRT with the same major number load the plans.
    """

    target = "tensorrt"
    precisions = (Precision.FP16, Precision.FP32, Precision.INT8)
    gpu = True

    portable: bool = dataclasses.field(
        default=False,
        metadata={
            "help": "Build plans for every GPU of the same compute capability as this one; they may be slower."
        },
    )
    version_compatible: bool = dataclasses.field(
        default=False,
        metadata={
            "help": "Build plans that later TensorRT versions with the same major number can load; they are "
            "larger, and may be slower."
        },
    )


class Tensorrt(BackendTarget):
    """Plans that TensorRT loads."""

    options = TensorrtOptions
    model_file = "model.plan"
    backend = "tensorrt"

    def preferred(self) -> bool:
        """Whether a GPU and the library are here."""
        from infmap_kit.tensorrt.present_gpu import has_gpu

        return has_gpu() and importlib.util.find_spec("tensorrt") is not None

    def require_host(self) -> None:
        """Require a GPU, and NVIDIA's library; see :meth:`Target.require_host`."""
        from infmap_kit.tensorrt.library import require_tensorrt

        require_tensorrt()

    def write(
        self,
        options: TensorrtOptions,
        graphs: Graphs,
        *,
        draft: Draft,
        proof: Proof,
        progress: Progress,
    ) -> Written:
        """Build the plans; record the types of their layers, and their host."""
        from infmap_kit.model.files import write_bytes
        from infmap_kit.parts.contract import Contract
        from infmap_kit.targets.lowered import (
            fp16_record,
            halved_networks,
            qdq_record,
            quantised_networks,
        )
        from infmap_kit.tensorrt.builder import BuildOptions, engine_from_onnx
        from infmap_kit.tensorrt.gpus import image_for
        from infmap_kit.tensorrt.library import require_tensorrt
        from infmap_kit.tensorrt.plan import PlanEngine
        from infmap_kit.tensorrt.present_gpu import present_gpu
        from infmap_kit.tensorrt.profiles import profiles_of

        trt, contract = require_tensorrt(), Contract.of_graphs(graphs)
        model: dict[str, Any] = {}
        halves: Mapping[str, Fp16Graph] = {}
        if options.precision is Precision.FP16:
            halves = halved_networks(graphs, options.keep_fp32, proof, progress)
            graphs = {**graphs, **{name: half.model for name, half in halves.items()}}
            model["fp16"] = fp16_record(halves)
        quantised: Mapping[str, QdqGraph] = {}
        if options.precision is Precision.INT8:
            images = options.calibration_images
            quantised = quantised_networks(graphs, proof, images, progress)
            graphs = {**graphs, **{name: one.model for name, one in quantised.items()}}
            model |= qdq_record(quantised)
        gpu, version = present_gpu(), str(trt.__version__)
        image = image_for(version, version_compatible=options.version_compatible)
        host = {
            "tensorrt": version,
            "gpu": gpu.name,
            "compute_capability": gpu.capability,
            "image": image.reference,
            "portable": "yes" if options.portable else "no",
            "version_compatible": "yes" if options.version_compatible else "no",
        }
        cache = _cache_file(host)
        timing = cache.read_bytes() if cache.is_file() else b""
        layers = model["layers"] = {}
        memory = model["gpu_memory_bytes"] = {}
        engines: dict[str, Engine] = {}
        for name, graph in graphs.items():
            built = engine_from_onnx(
                trt,
                graph,
                BuildOptions(
                    profiles=profiles_of(name, options.batches, contract),
                    timing_cache=timing,
                    portable=options.portable,
                    version_compatible=options.version_compatible,
                ),
                progress=_labelled(progress, name),
            )
            if name in halves:
                built.layers.require_fp16(name, kept_fp32=halves[name].kept_products)
            if name in quantised:
                built.layers.require_int8(name, kept_fp32=quantised[name].kept_products)
            timing = built.timing_cache or timing
            layers[name] = {
                "counts": built.layers.counts,
                "fp16_share": built.layers.fp16_share,
                "int8_share": built.layers.int8_share,
                "inspected": built.layers.inspected,
            }
            draft.write(name, self.model_file, built.plan)
            engine = PlanEngine(trt, built.plan, version_compatible=options.version_compatible)
            # The weights come on top of what the contexts take.
            memory[name] = len(built.plan) + engine.memory_bytes
            # The server would end at its start, or at the first large picture.
            if lacking := _too_little_memory(memory, gpu):
                raise HostMismatch(f"{lacking}: export with smaller --batches")
            engines[name] = engine
        if timing:
            write_bytes(cache, timing)
        return Written(engines=engines, model=model, built_with=host)

    def require_serving_host(self, repository: Path, manifest: Manifest) -> None:
        """Require a GPU, and NVIDIA's library; see :meth:`Target.require_serving_host`."""
        try:
            self.require_host()
        except HostMismatch as error:
            raise HostMismatch(
                f"{repository} holds TensorRT plans, which only their own GPU host runs: run this there, with "
                "'infmap-kit[tensorrt]', or serve it there and name the server with --url"
            ) from error

    def open(self, repository: Path, manifest: Manifest) -> OpenedModel:
        """Open the plans on the GPU of this machine, which must be the GPU that they were built for."""
        self.require_serving_host(repository, manifest)
        return super().open(repository, manifest)

    def engine(self, path: Path, precision: Precision, *, gpu: bool) -> Engine:
        """The plan on this machine's GPU."""
        from infmap_kit.tensorrt.library import require_tensorrt
        from infmap_kit.tensorrt.plan import PlanEngine

        # Whether code of the plan may run on the host; the files are those that the manifest names.
        return PlanEngine(require_tensorrt(), path.read_bytes(), version_compatible=True)

    def references(self, repository: Path, manifest: Manifest) -> dict[str, Path]:
        """None: a repository of plans has no graphs."""
        return {}

    def inspected(self, manifest: Manifest, network: Any) -> Mapping[str, int]:
        """Read from the manifest, where the builder wrote it."""
        name = served_contract(manifest).networks[0].name
        counts = manifest.model.get("layers", {}).get(name, {}).get("counts", {})
        convolutions: dict[str, int] = counts.get("CONVOLUTION", {})
        return convolutions

    def image(self, manifest: Manifest) -> Image:
        """The image whose TensorRT loads the plans."""
        from infmap_kit.tensorrt.gpus import image_for

        return image_for(
            manifest.built_with.get("tensorrt", "unknown"),
            version_compatible=_says_yes(manifest, "version_compatible"),
            capability=manifest.built_with.get("compute_capability", ""),
        )

    def server_options(self, manifest: Manifest) -> list[str]:
        """Let the backend load version-compatible plans, which carry code for the host."""
        compatible = _says_yes(manifest, "version_compatible")
        return ["--backend-config=tensorrt,version-compatible=true"] if compatible else []

    def gpu_labels(self, manifest: Manifest) -> dict[str, str]:
        """The kind of GPU that the plans were built on; its generation where they are portable."""
        capability, gpu = (manifest.built_with.get(key) for key in ("compute_capability", "gpu"))
        if gpu is not None and not _says_yes(manifest, "portable"):
            # GPU feature discovery writes the name with dashes, since a label has no spaces.
            return {"nvidia.com/gpu.product": "-".join(gpu.split())}
        if capability is None:
            return {}
        major, _, minor = capability.partition(".")
        return {"nvidia.com/gpu.compute.major": major, "nvidia.com/gpu.compute.minor": minor}

    def config(self, config: pb.ModelConfig, options: Any, contract: Contract) -> None:
        """Name the profiles, and let a CUDA graph replay a network."""
        from infmap_kit.model.tensors import IMAGE
        from infmap_kit.tensorrt.profiles import profiles_of

        count = len(profiles_of(config.name, options.batches, contract))
        config.instance_group[0].profile.extend(map(str, range(count)))
        # The backend makes a context for each profile. Unless it is told so, each is as large as the largest
        # profile needs.
        strategy = config.parameters["execution_context_allocation_strategy"]
        strategy.string_value = "ON_PROFILE_CHANGE"
        if not config.max_batch_size:
            return
        # There is a profile for each of these sizes.
        config.dynamic_batching.preferred_batch_size.extend(b for b in options.batches if b > 1)
        # Hundreds of short kernels, always of the same shape: here, and here alone, a graph of them
        # saves what launching each would cost. The backend captures each size in each profile and logs an error
        # for every one that a profile does not hold; a single picture is the one that all of them hold, and the
        # one where launching costs most.
        config.optimization.cuda.graphs = True
        config.optimization.cuda.busy_wait_events = True
        spec = config.optimization.cuda.graph_spec.add(batch_size=1)
        spec.input[IMAGE.name].dim.extend(IMAGE.at(contract.image_size).shape)

    def gpu_checks(self, manifest: Manifest, gpu: PresentGpu | None) -> Iterator[HostCheck]:
        """Check that GPU, its memory and its driver fit the plans."""
        if gpu is not None:
            yield from _plan_checks(manifest, gpu)
        yield from super().gpu_checks(manifest, gpu)


def _plan_checks(manifest: Manifest, gpu: PresentGpu) -> Iterator[HostCheck]:
    built = manifest.built_with
    capability, name = built.get("compute_capability", gpu.capability), built.get("gpu", gpu.name)
    if capability != gpu.capability:
        yield problem(
            "plan",
            f"The plans were built for compute capability {capability}, and this GPU has {gpu.capability}.",
            "Export or install on this host.",
        )
    elif name != gpu.name and not _says_yes(manifest, "portable"):
        yield problem(
            "plan",
            f"The plans were built on {name}, and this GPU is {gpu.name}: plans are for one kind of GPU.",
            "Export or install on this host, or export with --portable.",
        )
    if lacking := _too_little_memory(manifest.model.get("gpu_memory_bytes", {}), gpu):
        sentence = f"{lacking[:1].upper()}{lacking[1:]}."
        yield problem("GPU memory", sentence, "Export with smaller --batches.")


def _too_little_memory(needed_bytes: Mapping[str, int], gpu: PresentGpu) -> str:
    """The reason why a GPU is too small for plans, by the graphs' names; empty when it is not."""
    needed_mib = sum(needed_bytes.values()) >> 20
    if not gpu.memory_mib or needed_mib <= gpu.memory_mib:
        return ""
    largest = max(needed_bytes, key=lambda name: needed_bytes[name])
    return (
        f"the plans take {needed_mib} MiB of GPU memory, most of it {largest} with its largest batch and "
        f"canvas, and {gpu.name} has {gpu.memory_mib}"
    )


def _says_yes(manifest: Manifest, key: str) -> bool:
    return manifest.built_with.get(key) == "yes"


def _labelled(progress: Progress, graph: str) -> Progress:
    return lambda phase, done, total: progress(f"{graph}: {phase}", done, total)


def _cache_file(host: Mapping[str, str]) -> Path:
    """The timing cache of this kind of GPU and this TensorRT, for the next export."""
    from infmap_kit.model.files import cache_folder

    return cache_folder() / f"timing-{host['tensorrt']}-{host['compute_capability']}.cache"
