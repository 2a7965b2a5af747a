"""The base of targets on Triton's own backends: no Python in the server, a model for each graph."""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from infmap_kit.errors import InfmapError, SpecError
from infmap_kit.model.precision import Precision
from infmap_kit.targets.target import (
    Build,
    Graphs,
    OpenedModel,
    Proof,
    Setting,
    Target,
    TargetOptions,
)
from infmap_kit.triton.repository import Manifest, served_contract, version_folder

if TYPE_CHECKING:
    from tritonclient.grpc import model_config_pb2 as pb

    from infmap_kit.gate.engines import Engine
    from infmap_kit.parts.contract import Contract
    from infmap_kit.progress import Progress
    from infmap_kit.targets.check import HostCheck
    from infmap_kit.tensorrt.gpus import Image
    from infmap_kit.tensorrt.present_gpu import PresentGpu
    from infmap_kit.triton.releases import Draft

_GPU_INSTANCES = (1, 2, 4)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackendOptions(TargetOptions):
    """Options of the ensemble on one of Triton's own backends.

    Parameters
    ----------
    batches
        Batch sizes that the engine is tuned and warmed up for; the largest is the most that Triton joins.
    instances
        Copies of a network that run side by side.
    """

    gpu: ClassVar[bool] = False
    """Whether it runs on the GPU."""

    batches: tuple[int, ...] = dataclasses.field(
        default=(1, 8, 32),
        metadata={"help": "Batch sizes that Triton's own backends are tuned and warmed up for."},
    )
    instances: int = dataclasses.field(
        default=1,
        metadata={
            "help": "Number of copies of the segmentation that run in parallel; `tune` finds the best number.",
            "min": 1,
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.precision is None:
            object.__setattr__(self, "precision", self.precisions[0])
        rising = list(self.batches) == sorted(set(self.batches))
        if not (self.batches and rising and self.batches[0] >= 1):
            found = ",".join(map(str, self.batches))
            raise SpecError(
                f"expected rising batch sizes of 1 or more, such as 1,8,32, found {found}"
            )
        if self.instances < 1:
            raise SpecError(f"expected 1 instance or more, found {self.instances}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class HalvableOptions(BackendOptions):
    """Options of the ensemble on a backend that takes graphs in FP16.

    Parameters
    ----------
    keep_fp32
        Nodes of the FP16 segmentation that compute in FP32 all the same; without any, the gate chooses whether
        its first convolutions do.
    """

    keep_fp32: tuple[str, ...] = dataclasses.field(
        default=(),
        metadata={
            "help": "Node of the FP16 segmentation to keep in FP32; may be given several times. "
            "`verify bisect` names the nodes."
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.keep_fp32 and self.precision is not Precision.FP16:
            raise SpecError(
                f"nodes are kept in FP32 where the others are FP16, and precision is {self.precision}: "
                "give --precision fp16 or no --keep-fp32"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Written:
    """The files of a backend, opened.

    Parameters
    ----------
    engines
        Graph name to engine, to be compared with the reference.
    model, built_with
        See :class:`~infmap_kit.targets.target.Build`.
    """

    engines: Mapping[str, Engine]
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    built_with: dict[str, str] = dataclasses.field(default_factory=dict)


class BackendTarget(Target):
    """A target whose graphs each are a model of one of Triton's own backends, joined by an ensemble."""

    model_file = "model.onnx"
    options: ClassVar[type[BackendOptions]]

    joins_requests: ClassVar[bool] = True
    """Whether its backend takes a network with ``max_batch_size``, for which Triton joins requests."""

    def write(
        self, options: Any, graphs: Graphs, *, draft: Draft, proof: Proof, progress: Progress
    ) -> Written:
        """Write each graph's file and open it."""
        from infmap_kit.parts.contract import Contract

        files = {
            name: draft.write(name, self.model_file, graph.SerializeToString(deterministic=True))
            for name, graph in graphs.items()
        }
        contract = Contract.of_graphs(graphs)
        return Written(engines=self._engines(files, contract, options.precision, gpu=options.gpu))

    @abc.abstractmethod
    def engine(self, path: Path, precision: Precision, *, gpu: bool) -> Engine:
        """A graph's file on the library that the backend has; what is no network is in FP32."""

    def _engines(
        self, files: Mapping[str, Path], contract: Contract, precision: str, *, gpu: bool
    ) -> dict[str, Engine]:
        return {
            name: self.engine(
                path, Precision(precision if contract.is_network(name) else Precision.FP32), gpu=gpu
            )
            for name, path in files.items()
        }

    def config(self, config: pb.ModelConfig, options: Any, contract: Contract) -> None:
        """Add the backend's own settings to a graph's config; a network is a graph that Triton batches."""

    def build(
        self, options: Any, graphs: Graphs, *, draft: Draft, proof: Proof, progress: Progress
    ) -> Build:
        """Write plans or graphs, and the pictures that they warm up on; see :meth:`Target.build`."""
        from infmap_kit.gate.runners import EngineRunner
        from infmap_kit.parts.contract import ENSEMBLE, Contract
        from infmap_kit.targets.backend_configs import backend_configs, write_warm_up

        contract = Contract.of_graphs(graphs)
        written = self.write(options, graphs, draft=draft, proof=proof, progress=progress)
        # Object stores know no empty folders, and Triton wants a folder for each version.
        draft.write(ENSEMBLE.name, "README.txt", b"An ensemble has no file of its own.\n")
        write_warm_up(draft.folder, self, options, contract)
        return Build(
            target=self.name,
            precision=options.precision,
            runner=EngineRunner(written.engines, contract),
            configs=functools.partial(backend_configs, self, options, contract=contract),
            model={
                "backend": {"gpu": options.gpu, "batches": list(options.batches)},
                **written.model,
            },
            built_with=written.built_with,
            batches=tuple(batch for batch in options.batches if batch > 1),
        )

    def files(self, folder: Path, release: int, graphs: Sequence[str]) -> dict[str, Path]:
        """The file of each graph in the version folder of its own model."""
        return {name: version_folder(folder, name, release) / self.model_file for name in graphs}

    def open(self, repository: Path, manifest: Manifest) -> OpenedModel:
        """Open every file with the library that the backend has; see :meth:`Target.open`."""
        contract = served_contract(manifest)
        names = [graph.name for graph in contract.graphs]
        files = self.files(repository, manifest.release, names)
        for name, path in files.items():
            if not path.is_file():
                raise SpecError(f"{repository} has no graph for {name!r}: export again")
        engines = self._engines(files, contract, manifest.precision, gpu=on_gpu(manifest))
        return OpenedModel(
            contract=contract,
            engines=engines,
            references=self.references(repository, manifest),
            inspected=self.inspected(manifest, engines[contract.networks[0].name]),
        )

    def inspected(self, manifest: Manifest, network: Any) -> Mapping[str, int]:
        """Type to number of a network's convolutions that compute in it; empty where it is not known."""
        return {}

    def image(self, manifest: Manifest) -> Image:
        """The recommended image: every image has these backends."""
        from infmap_kit.tensorrt.gpus import recommended_image

        return recommended_image()

    def gpu_checks(self, manifest: Manifest, gpu: PresentGpu | None) -> Iterator[HostCheck]:
        """Check that a GPU is here where one is needed, and that its driver runs the image."""
        from infmap_kit.targets.check import as_sentence, problem

        if not on_gpu(manifest):
            yield from super().gpu_checks(manifest, gpu)
            return
        if gpu is None:
            yield problem(
                "GPU",
                f"The repository is for target {self.name} on an NVIDIA GPU, and none is here.",
                "Serve it on a host with one, or export with --target embedded.",
            )
            return
        try:
            image = self.image(manifest)
        except InfmapError as error:
            yield problem("image", as_sentence(error), "Export with an image's TensorRT.")
            return
        yield _driver_check(image, gpu)

    def settings(self, manifest: Manifest, cores: int) -> list[Setting]:
        """Numbers of copies of each network; the backend itself chooses their threads."""
        counts = _GPU_INSTANCES if on_gpu(manifest) else (1 << n for n in range(cores.bit_length()))
        return [Setting(threads=0, instances=count) for count in counts]

    def set(self, folder: Path, setting: Setting) -> None:
        """Write how many copies of each network run; the other graphs have a single copy."""
        from infmap_kit.parts.registry import all_parts
        from infmap_kit.triton.config import config_text, parse_config

        if setting.threads or setting.streams > 1:
            raise SpecError(
                f"target {self.name} leaves threads to Triton's backend: only instances can be set, found "
                f"{setting}"
            )
        for part in all_parts():
            path = folder / part.graph.name / "config.pbtxt"
            if part.is_lowered and path.is_file():
                config = parse_config(path.read_text(encoding="utf-8"))
                config.instance_group[0].count = setting.instances
                path.write_text(config_text(config), encoding="utf-8")


def on_gpu(manifest: Manifest) -> bool:
    """Whether a repository's models run on a GPU."""
    return bool(manifest.model.get("backend", {}).get("gpu", False))


def _driver_check(image: Image, gpu: PresentGpu) -> HostCheck:
    """Check that the driver runs an image; on data-centre GPUs an older one may, by the image's own package."""
    from infmap_kit.targets.check import ok, problem, warning

    if image.driver <= gpu.driver:
        return ok(
            "image",
            f"Triton {image.release} serves this repository, and driver {gpu.driver} runs it.",
        )
    sentence = (
        f"Triton {image.release} needs driver {image.driver} or newer, and {gpu.driver} is here"
    )
    fix = "Update the driver, or build for an older image."
    if gpu.takes_older_drivers:
        return warning(
            "image",
            f"{sentence}; its CUDA compatibility package may bridge that, for some branches of the driver.",
            fix,
        )
    return problem("image", f"{sentence}.", fix)
