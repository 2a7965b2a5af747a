"""What is measured: a repository, served, and its engines in this process beside it."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from infmap_kit.bench.pictures import BenchPicture
from infmap_kit.bench.scopes import (
    DECODE,
    DETECTION,
    ENCODE_PNG,
    ENGINE_ALONE,
    FILE_TO_MAP,
    NATIVE_MAP,
    RENDERING,
    RESIZE,
    SERVED_ENSEMBLE,
    SERVED_SEGMENTATION,
)
from infmap_kit.errors import HostMismatch
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.quick import quick_input, quick_radiograph
from infmap_kit.model import contract as served
from infmap_kit.model.contract import CANVAS, IMAGE, PROBABILITY, SEGMENTATION, Graph
from infmap_kit.release.verify import open_repository
from infmap_kit.results.infer import encode_png
from infmap_kit.targets.opened import OpenedModel, part_name
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.config import Target
from infmap_kit.triton.repository import Manifest, check_repository
from infmap_kit.triton.server.process import TritonServer
from infmap_kit.triton.server.serving import fitting_runtime, free_ports

Timed = Callable[[int], float]
"""Milliseconds of one request; its number chooses the picture."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """A served repository, and everything to ask it.

    Parameters
    ----------
    manifest
        Of the repository.
    pictures
        What is asked about.
    server, client
        Triton, and a connection to it.
    model
        The repository's graphs, opened in this process as the server opens them.
    cold_start
        See :class:`~infmap_kit.bench.records.record.BenchRecord`.
    """

    manifest: Manifest
    pictures: list[BenchPicture]
    server: TritonServer
    client: InfmapClient
    model: OpenedModel
    cold_start: dict[str, float]

    @classmethod
    @contextlib.contextmanager
    def served(cls, repository: Path, pictures: list[BenchPicture]) -> Iterator[Self]:
        """Check a repository, serve it on free ports, and compile its graphs here too.

        Raises
        ------
        SpecError
            When a file is not what was exported.
        HostMismatch
            When it is for another target, or there is no server here.
        ServerError
            When it does not start.
        """
        manifest = check_repository(repository)
        if manifest.target != Target.EMBEDDED:
            raise HostMismatch(
                f"`bench` compiles the engine beside the server, which it can for target {Target.EMBEDDED} "
                f"only, and {repository} is for {manifest.target}: export for that target to measure here"
            )
        begun = time.perf_counter()
        model = open_repository(repository, manifest)
        cold_start = {"engine_ms": _since(begun)}
        begun = time.perf_counter()
        with (
            TritonServer(
                repository, runtime=fitting_runtime(repository, manifest), options=free_ports()
            ) as server,
            InfmapClient(server.grpc_url) as client,
        ):
            cold_start["ready_ms"] = _since(begun)
            begun = time.perf_counter()
            client.infer(pictures[0].image, pictures[0].image)
            cold_start["first_request_ms"] = _since(begun)
            yield cls(
                manifest=manifest,
                pictures=pictures,
                server=server,
                client=client,
                model=model,
                cold_start=cold_start,
            )

    @property
    def reference(self) -> Path:
        """The network in FP32 as ONNX."""
        return self.model.references[SEGMENTATION.name]

    @property
    def network(self) -> dict[str, Any] | None:
        """Which of the paper's networks it is, as its spec says."""
        return self.manifest.model.get("network")

    def _compute(
        self, graph: Graph, tensors: Mapping[str, NDArray[Any]]
    ) -> dict[str, NDArray[Any]]:
        inputs = {tensor.name: tensors[tensor.name] for tensor in graph.inputs}
        outputs = [tensor.name for tensor in graph.outputs]
        return self.model.engines[graph.name].run(inputs, outputs)

    def scopes(self) -> dict[str, Timed]:
        """Every scope, part and stage, as something that can be timed."""
        client, pictures, contract = self.client, self.pictures, self.model.contract
        canvases = [picture.image[np.newaxis] for picture in pictures]
        decoded = [_decoded(picture) for picture in pictures]
        # What each graph is given when it is timed alone: of the first picture, what others computed.
        tensors: dict[str, NDArray[Any]] = {IMAGE.name: canvases[0], CANVAS.name: canvases[0]}
        for graph in contract.graphs:
            tensors |= self._compute(graph, tensors)
        maps = [client.infer(p.image, p.pixels)["INFECTION_MAP"] for p in pictures]

        def served_segmentation(number: int) -> None:
            client.infer(pictures[number].image, outputs=[PROBABILITY.name])

        def served_ensemble(number: int) -> None:
            client.infer(pictures[number].image, pictures[number].image)

        def file_to_map(number: int) -> None:
            image = quick_input(pictures[number].content, pictures[number].name)
            client.infer(image, image)

        def alone(graph: Graph) -> Callable[[int], object]:
            def compute(number: int) -> object:
                pixels = {IMAGE.name: canvases[number], CANVAS.name: canvases[number]}
                return self._compute(graph, tensors | pixels)

            return compute

        works: dict[str, Callable[[int], object]] = {
            ENGINE_ALONE: alone(SEGMENTATION),
            SERVED_SEGMENTATION: served_segmentation,
            SERVED_ENSEMBLE: served_ensemble,
            FILE_TO_MAP: file_to_map,
            NATIVE_MAP: lambda number: client.infer(
                pictures[number].image, pictures[number].pixels
            ),
            ENCODE_PNG: lambda number: encode_png(maps[number]),
            DECODE: lambda number: _decoded(pictures[number]),
            RESIZE: lambda number: network_input(decoded[number]),
            DETECTION: alone(contract.detection),
            RENDERING: alone(served.RENDERING),
        }
        works |= {part_name(network.name): alone(network) for network in contract.networks[1:]}
        return {name: _timed(work, len(pictures)) for name, work in works.items()}


def _decoded(picture: BenchPicture) -> NDArray[np.uint8]:
    return quick_radiograph(picture.content, picture.name).pixels


def _timed(work: Callable[[int], object], count: int) -> Timed:
    def timed(index: int) -> float:
        begun = time.perf_counter()
        work(index % count)
        return _since(begun)

    return timed


def _since(begun: float) -> float:
    return 1e3 * (time.perf_counter() - begun)
