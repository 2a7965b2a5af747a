"""A repository that answers in this process, without a server: same files, same checks, same answers."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.gate.engines import Engine, OpenvinoEngine, in_one_line
from infmap_kit.imaging.radiograph import MAX_PIXELS
from infmap_kit.model.tensors import Graph
from infmap_kit.parts.contract import ENSEMBLE
from infmap_kit.targets.registry import find
from infmap_kit.triton.infmap_model import InfmapModel
from infmap_kit.triton.repository import check_repository, remove_bytecode

if TYPE_CHECKING:
    from tritonclient.grpc import model_config_pb2 as pb

    from infmap_kit.targets.target import OpenedModel
    from infmap_kit.triton.python_model import PreparedGraph
    from infmap_kit.triton.server.private_copy import PrivateCopy


class InProcessModel(InfmapModel):
    """The engines of a repository, asked as a server is; :func:`open_repository` makes it.

    Threads may share it; the engines answer one request after the other, each with all cores.

    Parameters
    ----------
    config
        The config from which a server tells clients what the model is.
    opened
        The engines.
    release
        Number of the release.
    copy
        The files that were hashed and opened; taken away by :meth:`close`. ``None`` where they stay.
    """

    def __init__(
        self, config: pb.ModelConfig, opened: OpenedModel, *, release: int, copy: PrivateCopy | None
    ) -> None:
        from infmap_kit.triton.python_model import Pipeline

        self.release = release
        self._config = config
        self._copy = copy
        self._lock = threading.Lock()
        self._pipeline = Pipeline(
            [_prepared(graph, opened.engines[graph.name]) for graph in opened.contract.graphs],
            most_pixels=MAX_PIXELS,
        )

    def config(self) -> pb.ModelConfig:
        """See :meth:`InfmapModel.config`."""
        return self._config

    def answer(
        self,
        inputs: Mapping[str, NDArray[np.uint8]],
        outputs: Collection[str],
        where_served: Collection[str] = (),
    ) -> dict[str, NDArray[Any]]:
        """See :meth:`InfmapModel.answer`.

        Raises
        ------
        ExportError
            When an input is too large, or the engines cannot compute.
        """
        offered = self.offered()
        names = [*outputs, *(name for name in where_served if name in offered)]
        pixels = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        with self._lock, in_one_line("the engines cannot answer about this radiograph"):
            return self._pipeline.infer(pixels, names)

    def close(self) -> None:
        """Take the copy of the files away."""
        if self._copy is not None:
            self._copy.remove()


def open_repository(repository: Path) -> InProcessModel:
    """Open the published engines of a repository in this process, as its server would.

    What is opened is a private copy of which every file was hashed, as with a server. The engines of target
    ``embedded`` answer as they do when they are served, to the last bit; those of targets for Triton's own
    backends are the ones that the gate compared with the trained network, computed by this Python's libraries
    and not by the backends'.

    Parameters
    ----------
    repository
        The repository.

    Returns
    -------
    InProcessModel
        Use it as a context manager, or close it.

    Raises
    ------
    SpecError
        When a file is not what was exported.
    HostMismatch
        When this machine does not compute as the repository's server does, for want of its GPU.
    MissingDependency
        When the library of the engines is not installed.
    """
    from infmap_kit.triton.config import parse_config
    from infmap_kit.triton.server.private_copy import PrivateCopy
    from infmap_kit.triton.server.shared_memory import new_prefix

    remove_bytecode(repository)
    manifest = check_repository(repository)
    target = find(manifest.target)
    target.require_serving_host(repository, manifest)
    copy = PrivateCopy(repository, prefix=new_prefix(), manifest=manifest)
    try:
        text = (copy.models / ENSEMBLE.name / "config.pbtxt").read_text(encoding="utf-8")
        opened = target.open(copy.models, manifest)
        return InProcessModel(parse_config(text), opened, release=manifest.release, copy=copy)
    except BaseException:
        copy.remove()
        raise


def _prepared(graph: Graph, engine: Engine) -> PreparedGraph:
    """An engine as the runner's pipeline asks it; OpenVINO's is the runner's own, and its outputs no copies."""
    return engine.graph if isinstance(engine, OpenvinoEngine) else _OtherGraph(graph, engine)


class _OtherGraph:
    """A graph on another library than the runner's."""

    def __init__(self, graph: Graph, engine: Engine) -> None:
        self._engine = engine
        self.inputs: Sequence[str] = [tensor.name for tensor in graph.inputs]
        self.outputs: Sequence[str] = [tensor.name for tensor in graph.outputs]

    def infer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Compute all outputs."""
        return self._engine.run(inputs, self.outputs)

    def release(self) -> None:
        """Release nothing: the library keeps its memory to itself."""
