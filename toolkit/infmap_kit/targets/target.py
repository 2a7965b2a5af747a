"""A target is one object: everything that differs between the servers that a model is published for."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from infmap_kit.errors import SpecError
from infmap_kit.model.precision import Precision
from infmap_kit.triton.repository import Manifest, served_contract

if TYPE_CHECKING:
    import onnx
    from tritonclient.grpc import model_config_pb2 as pb

    from infmap_kit.gate.engines import Engine
    from infmap_kit.gate.pictures import Pictures
    from infmap_kit.gate.runners import EngineRunner, Runner
    from infmap_kit.parts.contract import Contract
    from infmap_kit.progress import Progress
    from infmap_kit.targets.check import HostCheck
    from infmap_kit.tensorrt.gpus import Image
    from infmap_kit.tensorrt.present_gpu import PresentGpu
    from infmap_kit.triton.releases import Draft


Graphs: TypeAlias = "Mapping[str, onnx.ModelProto]"
"""The graphs behind the ensemble, by name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetOptions:
    """Options of a target; each target has a class of its own.

    A field whose metadata has a ``help`` is an option of `export`, `install` and `bench table5`.

    Parameters
    ----------
    precision
        Precision of the networks; ``None`` leaves the choice to the target.
    """

    target: ClassVar[str]
    precisions: ClassVar[tuple[Precision, ...]]
    """Precisions that it can compute in; the first is the default."""

    precision: Precision | None = None

    def __post_init__(self) -> None:
        if self.precision is None:
            return
        if self.precision not in self.precisions:
            raise SpecError(
                f"expected --precision to be one of {', '.join(self.precisions)} for target {self.target}, "
                f"found {self.precision!r}"
            )
        object.__setattr__(self, "precision", Precision(self.precision))


@dataclasses.dataclass(frozen=True, kw_only=True)
class CalibratedOptions(TargetOptions):
    """Options of a target that computes in INT8.

    Parameters
    ----------
    calibration_images
        Folder of the radiographs that INT8's ranges are taken from; ``None`` takes the gate's.
    """

    calibration_images: Path | None = dataclasses.field(
        default=None,
        metadata={
            "help": "Folder of radiographs from which int8 takes its ranges. The default is the gate's "
            "pictures."
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.calibration_images and self.precision not in (None, Precision.INT8):
            raise SpecError(
                f"int8 is calibrated, and precision is {self.precision}: give --precision int8, or no "
                "--calibration-images"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proof:
    """The reference and the pictures that an engine is proved with.

    Parameters
    ----------
    reference
        The trained network.
    pictures
        The pictures of which both compute their predictions.
    """

    reference: Runner
    pictures: Pictures


@dataclasses.dataclass(frozen=True, kw_only=True)
class Build:
    """The engines that a target made of a model, before they are proved.

    Parameters
    ----------
    target, precision
        Name of the target, and precision of the networks.
    runner
        Computes predictions with the very files that were written.
    configs
        Makes the configs from the identity of the model.
    model
        Details of the engines, for the manifest.
    built_with
        Versions and host, for the manifest.
    batches
        Numbers of pictures in a request, besides 1, that are proved as well.
    """

    target: str
    precision: str
    runner: EngineRunner
    configs: Callable[[Mapping[str, str]], dict[str, pb.ModelConfig]]
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    built_with: dict[str, str] = dataclasses.field(default_factory=dict)
    batches: tuple[int, ...] = (2,)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenedModel:
    """The graphs of a repository, ready to compute in this process as its server computes them.

    Parameters
    ----------
    contract
        The contract of the model.
    engines
        Graph name to engine, for every graph behind the ensemble.
    references
        Network name to the trained network in FP32 as ONNX; empty where the repository has none.
    inspected
        Type to number of the infection network's convolutions that compute in it, where that is known.
    """

    contract: Contract
    engines: Mapping[str, Engine]
    references: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    inspected: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def runner(self) -> EngineRunner:
        """A runner of all engines, one after the other."""
        from infmap_kit.gate.runners import EngineRunner

        return EngineRunner(self.engines, self.contract)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting of a served model, as `tune` tries it.

    Parameters
    ----------
    threads
        Threads of each request; 0 leaves them to the server.
    instances
        Instances side by side, each a process of its own.
    streams
        Requests that each instance computes at the same time.
    """

    threads: int
    instances: int
    streams: int = 1

    @property
    def in_flight(self) -> int:
        """Requests that are computed at the same time."""
        return self.instances * self.streams

    def __str__(self) -> str:
        if not self.threads:
            return f"{self.instances} instances"
        threads = f"{self.instances} x {self.threads} threads"
        return threads if self.streams == 1 else f"{threads} for each of {self.streams} requests"


class Target(abc.ABC):
    """A kind of server that repositories are made for: one class a file, and one line in the registry."""

    options: ClassVar[type[TargetOptions]]
    """Class of its options, with its name and precisions."""

    model_file: ClassVar[str]
    """Name of a graph's file in its version folder, or of the runner."""

    backend: ClassVar[str]
    """Triton's backend that runs the graphs."""

    in_container: ClassVar[bool] = True
    """Whether NVIDIA's images serve it."""

    libraries: ClassVar[tuple[str, ...]] = ()
    """Python packages that its engines run on in the server."""

    @property
    def name(self) -> str:
        """Its name in `--target` and in a manifest."""
        return self.options.target

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """Precisions that it can compute in; the first is the default."""
        return self.options.precisions

    def preferred(self) -> bool:
        """Whether ``auto`` may choose it on this machine; it chooses the first such target."""
        return False

    def require_host(self) -> None:
        """Refuse a machine that it cannot be built on, before anything is read.

        Raises
        ------
        HostMismatch
            With what is missing and what to do.
        """
        return

    @abc.abstractmethod
    def build(
        self, options: Any, graphs: Graphs, *, draft: Draft, proof: Proof, progress: Progress
    ) -> Build:
        """Write its models into a draft.

        Parameters
        ----------
        options
            Options of its own class.
        graphs
            The graphs behind the ensemble, by name.
        draft
            The draft to write into.
        proof
            Reference and pictures, for a choice between engines.
        progress
            Called with each step.

        Raises
        ------
        HostMismatch
            When this machine cannot build it.
        """

    @abc.abstractmethod
    def files(self, folder: Path, release: int, graphs: Sequence[str]) -> dict[str, Path]:
        """The file of each graph in a repository of this target."""

    def references(self, repository: Path, manifest: Manifest) -> dict[str, Path]:
        """The files of networks and classifiers, which are the trained ones where they are in FP32."""
        contract = served_contract(manifest)
        names = [graph.name for graph in (*contract.networks, *contract.fp32_networks)]
        return self.files(repository, manifest.release, names)

    @abc.abstractmethod
    def open(self, repository: Path, manifest: Manifest) -> OpenedModel:
        """Make engines of a repository's own files.

        Raises
        ------
        SpecError
            When it lacks a graph.
        HostMismatch
            When they do not run here.
        """

    def require_serving_host(self, repository: Path, manifest: Manifest) -> None:
        """Refuse a machine on which its engines do not compute as their server does, before they are opened.

        Raises
        ------
        HostMismatch
            With what is missing and what to do.
        """
        return

    @abc.abstractmethod
    def image(self, manifest: Manifest) -> Image:
        """The image of NVIDIA's that serves a repository.

        Raises
        ------
        HostMismatch
            When none does.
        """

    def dockerfile(self, manifest: Manifest) -> str:
        """A Dockerfile of additions to one of NVIDIA's images; empty if the image serves as it is."""
        return ""

    def server_options(self, manifest: Manifest) -> list[str]:
        """Options of Triton's command line that a repository needs besides those of every target."""
        return []

    def server_environment(self, manifest: Manifest) -> dict[str, str]:
        """Environment variables of the server that a repository needs to compute as it was proved."""
        return {}

    def engine_cache(self, manifest: Manifest) -> str:
        """The folder in a server's container that keeps what is built when it starts; empty for none."""
        return ""

    def gpu_labels(self, manifest: Manifest) -> dict[str, str]:
        """Labels of NVIDIA's GPU feature discovery that a cluster's node must have."""
        return {}

    @abc.abstractmethod
    def settings(self, manifest: Manifest, cores: int) -> list[Setting]:
        """The settings that `tune` tries on a host with so many cores."""

    @abc.abstractmethod
    def set(self, folder: Path, setting: Setting) -> None:
        """Write a setting into the configs of a repository."""

    def checks(self, manifest: Manifest) -> Iterator[HostCheck]:
        """Checks of `doctor` for its sake, besides libraries and GPU."""
        return iter(())

    def gpu_checks(self, manifest: Manifest, gpu: PresentGpu | None) -> Iterator[HostCheck]:
        """Checks of `doctor` for its sake of the GPU that is here; ``None`` is no GPU."""
        from infmap_kit.targets.check import no_gpu_needed

        if gpu is None:
            yield no_gpu_needed()
