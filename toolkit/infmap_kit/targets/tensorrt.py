"""Target tensorrt: plans, built on the GPU that serves them."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infmap_kit.errors import HostMismatch, InfmapError
from infmap_kit.model.precision import Precision
from infmap_kit.targets.backends import (
    BackendTarget,
    HalvableOptions,
    Written,
    fp16_record,
    halved,
)
from infmap_kit.targets.check import HostCheck, as_sentence, ok, problem
from infmap_kit.targets.target import Graphs, OpenedModel
from infmap_kit.triton.repository import Manifest, served_contract

if TYPE_CHECKING:
    from tritonclient.grpc import model_config_pb2 as pb

    from infmap_kit.gate.engines import Engine
    from infmap_kit.parts.contract import Contract
    from infmap_kit.progress import Progress
    from infmap_kit.tensorrt.gpus import Image
    from infmap_kit.tensorrt.present_gpu import PresentGpu
    from infmap_kit.triton.releases import Draft


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorrtOptions(HalvableOptions):
    """Options of the ensemble on TensorRT."""

    target = "tensorrt"
    precisions = (Precision.FP16, Precision.FP32)
    gpu = True


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
        self, options: TensorrtOptions, graphs: Graphs, *, draft: Draft, progress: Progress
    ) -> Written:
        """Build the plans; record the types of their layers, and their host."""
        from infmap_kit.model.files import write_bytes
        from infmap_kit.parts.contract import Contract
        from infmap_kit.tensorrt.builder import BuildOptions, engine_from_onnx
        from infmap_kit.tensorrt.gpus import image_for
        from infmap_kit.tensorrt.library import require_tensorrt
        from infmap_kit.tensorrt.plan import PlanEngine
        from infmap_kit.tensorrt.present_gpu import present_gpu
        from infmap_kit.tensorrt.profiles import profiles_of

        trt, contract = require_tensorrt(), Contract.of(graphs)
        model: dict[str, Any] = {}
        halves = halved(graphs, options) if options.precision is Precision.FP16 else {}
        if halves:
            graphs = {**graphs, **{name: half.model for name, half in halves.items()}}
            model["fp16"] = fp16_record(halves)
        host = {
            "tensorrt": str(trt.__version__),
            "compute_capability": present_gpu().capability,
            "image": image_for(str(trt.__version__)).reference,
        }
        cache = _cache_file(host)
        timing = cache.read_bytes() if cache.is_file() else b""
        layers = model["layers"] = {}
        engines: dict[str, Engine] = {}
        for name, graph in graphs.items():
            built = engine_from_onnx(
                trt,
                graph,
                BuildOptions(
                    profiles=profiles_of(name, options.batches, contract), timing_cache=timing
                ),
                progress=_labelled(progress, name),
            )
            if name in halves:
                built.layers.require_fp16(name, kept_fp32=halves[name].kept_products)
            timing = built.timing_cache or timing
            layers[name] = {
                "counts": built.layers.counts,
                "fp16_share": built.layers.fp16_share,
                "inspected": built.layers.inspected,
            }
            draft.write(name, self.model_file, built.plan)
            engines[name] = PlanEngine(trt, built.plan)
        if timing:
            write_bytes(cache, timing)
        return Written(engines=engines, model=model, built_with=host)

    def open(self, repository: Path, manifest: Manifest) -> OpenedModel:
        """Open the plans on the GPU of this machine, which must be the GPU that they were built for."""
        try:
            self.require_host()
        except HostMismatch as error:
            raise HostMismatch(
                f"{repository} holds TensorRT plans, which only their own GPU host runs: run this there, with "
                "'infmap-kit[tensorrt]', or serve it and verify with --url"
            ) from error
        return super().open(repository, manifest)

    def engine(self, path: Path, precision: Precision) -> Engine:
        """The plan on this machine's GPU."""
        from infmap_kit.tensorrt.library import require_tensorrt
        from infmap_kit.tensorrt.plan import PlanEngine

        return PlanEngine(require_tensorrt(), path.read_bytes())

    def references(self, repository: Path, manifest: Manifest) -> dict[str, Path]:
        """None: a repository of plans has no graphs."""
        return {}

    def inspected(self, manifest: Manifest, network: Any) -> Mapping[str, int]:
        """Read from the manifest, where the builder wrote it."""
        name = served_contract(manifest).networks[0].name
        counts: dict[str, int] = manifest.model.get("layers", {}).get(name, {}).get("counts", {})
        return counts

    def image(self, manifest: Manifest) -> Image:
        """The image whose TensorRT built the plans."""
        from infmap_kit.tensorrt.gpus import image_for

        return image_for(manifest.built_with.get("tensorrt", "unknown"))

    def config(self, config: pb.ModelConfig, options: Any, contract: Contract) -> None:
        """Name the profiles, and let CUDA graphs replay a network."""
        from infmap_kit.model.tensors import IMAGE
        from infmap_kit.tensorrt.profiles import profiles_of

        count = len(profiles_of(config.name, options.batches, contract))
        config.instance_group[0].profile.extend(map(str, range(count)))
        if not config.max_batch_size:
            return
        # There is a profile, and a CUDA graph, for each of these sizes.
        config.dynamic_batching.preferred_batch_size.extend(b for b in options.batches if b > 1)
        # Hundreds of short kernels, always of the same shape: here, and here alone, a graph of them
        # saves what launching each would cost.
        config.optimization.cuda.graphs = True
        config.optimization.cuda.busy_wait_events = True
        for batch in options.batches:
            spec = config.optimization.cuda.graph_spec.add(batch_size=batch)
            spec.input[IMAGE.name].dim.extend(IMAGE.shape)

    def gpu_checks(self, manifest: Manifest, gpu: PresentGpu | None) -> Iterator[HostCheck]:
        """Whether GPU and driver fit the plans."""
        if gpu is None:
            yield problem(
                "GPU",
                "The repository holds TensorRT plans, and no NVIDIA GPU is here.",
                "Serve it on the host that it was built on, or export with --target embedded.",
            )
            return
        capability = manifest.built_with.get("compute_capability", gpu.capability)
        if capability != gpu.capability:
            yield problem(
                "plan",
                f"The plans were built for compute capability {capability}, and this GPU has {gpu.capability}.",
                "Export or install on this host.",
            )
        try:
            image = self.image(manifest)
        except InfmapError as error:
            yield problem("TensorRT", as_sentence(error), "Export with an image's TensorRT.")
            return
        if image.driver > gpu.driver:
            yield problem(
                "TensorRT",
                f"These plans load in Triton {image.release}, which needs driver {image.driver} or newer.",
                "Update the driver, or build with an older TensorRT.",
            )
        else:
            yield ok("TensorRT", f"Triton {image.release} loads these plans.")


def _labelled(progress: Progress, graph: str) -> Progress:
    return lambda phase, done, total: progress(f"{graph}: {phase}", done, total)


def _cache_file(host: Mapping[str, str]) -> Path:
    """The timing cache of this kind of GPU and this TensorRT, for the next export."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "infmap-kit" / f"timing-{host['tensorrt']}-{host['compute_capability']}.cache"
