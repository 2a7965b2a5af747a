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
    """How a model is published for a target; each has a class of its own.

    A field whose metadata has a ``help`` is an option of `export`, `install` and `bench table5`.

    Parameters
    ----------
    precision
        Of the networks; ``None`` leaves the choice to the target.
    """

    target: ClassVar[str]
    precisions: ClassVar[tuple[Precision, ...]]
    """What it can compute in; the first is what it does when nothing is said."""

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
class Proof:
    """What an engine is proved with.

    Parameters
    ----------
    reference
        The trained network.
    pictures
        What both judge.
    """

    reference: Runner
    pictures: Pictures


@dataclasses.dataclass(frozen=True, kw_only=True)
class Build:
    """What a target made of a network, before it is proved.

    Parameters
    ----------
    target, precision
        What it is for, and what it computes in.
    runner
        Judges pictures with the very files that were written.
    configs
        Makes the configs from what the ensemble says of its model.
    model
        What there is to say of the engine, for the manifest.
    built_with
        Versions and host.
    """

    target: str
    precision: str
    runner: Runner
    configs: Callable[[Mapping[str, str]], dict[str, pb.ModelConfig]]
    model: dict[str, Any] = dataclasses.field(default_factory=dict)
    built_with: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenedModel:
    """The graphs of a repository, ready to compute in this process as its server computes them.

    Parameters
    ----------
    contract
        What is served.
    engines
        By the graph's name, every graph behind the ensemble.
    references
        The trained networks in FP32 as ONNX, by name; empty where the repository keeps none.
    inspected
        Type to number of the infection network's convolutions that compute in it, where that is known.
    """

    contract: Contract
    engines: Mapping[str, Engine]
    references: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    inspected: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def runner(self) -> EngineRunner:
        """All of them, one after the other."""
        from infmap_kit.gate.runners import EngineRunner

        return EngineRunner(self.engines, self.contract)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """How a served model runs, as `tune` tries it.

    Parameters
    ----------
    threads
        Of each instance; 0 leaves them to the server.
    instances
        Side by side.
    """

    threads: int
    instances: int

    def __str__(self) -> str:
        if not self.threads:
            return f"{self.instances} instances"
        return f"{self.instances} x {self.threads} threads"


class Target(abc.ABC):
    """What a repository is made for: one class a file, and one line in the registry."""

    options: ClassVar[type[TargetOptions]]
    """How it is published; brings its name and precisions."""

    model_file: ClassVar[str]
    """What lies in a graph's version folder, or beside the runner."""

    backend: ClassVar[str]
    """Triton's, that runs the graphs."""

    in_container: ClassVar[bool] = True
    """Whether NVIDIA's images serve it."""

    libraries: ClassVar[tuple[str, ...]] = ()
    """Python packages that its engines run on in the server."""

    @property
    def name(self) -> str:
        """As `--target` and a manifest spell it."""
        return self.options.target

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """What it can compute in; the first is what it does when nothing is said."""
        return self.options.precisions

    def preferred(self) -> bool:
        """Whether this is what ``auto`` comes to on this machine; the first such target is."""
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
            Of its own class.
        graphs
            Behind the ensemble, by name.
        draft
            Where to write.
        proof
            What a choice between engines is made with.
        progress
            Told each step.

        Raises
        ------
        HostMismatch
            When this machine cannot build it.
        """

    @abc.abstractmethod
    def files(self, folder: Path, release: int, graphs: Sequence[str]) -> dict[str, Path]:
        """Where each graph's file lies in a repository of this target."""

    def references(self, repository: Path, manifest: Manifest) -> dict[str, Path]:
        """The files of networks and opinions, which are the trained ones where they are in FP32."""
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

    @abc.abstractmethod
    def image(self, manifest: Manifest) -> Image:
        """Which of NVIDIA's images serves a repository.

        Raises
        ------
        HostMismatch
            When none does.
        """

    @abc.abstractmethod
    def settings(self, manifest: Manifest, cores: int) -> list[Setting]:
        """What `tune` tries on so many cores."""

    @abc.abstractmethod
    def set(self, folder: Path, setting: Setting) -> None:
        """Write a setting into the configs of a repository."""

    def checks(self, manifest: Manifest) -> Iterator[HostCheck]:
        """What `doctor` looks at for its sake, besides libraries and GPU."""
        return iter(())

    def gpu_checks(self, manifest: Manifest, gpu: PresentGpu | None) -> Iterator[HostCheck]:
        """What `doctor` says of the GPU that is here, or of none, for its sake."""
        from infmap_kit.targets.check import no_gpu_needed

        if gpu is None:
            yield no_gpu_needed()
