"""The subject of a measurement: a served repository, and its engines in this process beside it."""

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
    ENCODE_PNG,
    ENGINE_ALONE,
    ENGINE_WITH_TRANSFERS,
    FILE_TO_MAP,
    IN_PROCESS,
    NATIVE_MAP,
    OTHER_ENGINE,
    RESIZE,
    SERVED_ENSEMBLE,
    SERVED_SEGMENTATION,
)
from infmap_kit.gate.engines import DeviceEngine, Engine, OpenvinoEngine
from infmap_kit.imaging.colour import encode_png
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.quick import quick_input, quick_radiograph
from infmap_kit.model.tensors import CANVAS, IMAGE, PROBABILITY, Graph
from infmap_kit.parts.contract import ENSEMBLE
from infmap_kit.parts.registry import part_of
from infmap_kit.serving.in_process import InProcessModel
from infmap_kit.serving.server import RunningServer, Serve, served_here
from infmap_kit.targets.backends import on_gpu
from infmap_kit.targets.registry import find
from infmap_kit.targets.target import OpenedModel
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.config import parse_config
from infmap_kit.triton.infmap_model import InfmapModel
from infmap_kit.triton.repository import Manifest, check_repository

Timed = Callable[[int], float]
"""Milliseconds of one request; its number chooses the picture."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """A served repository, and everything to ask it.

    Parameters
    ----------
    manifest
        The repository's manifest.
    pictures
        The radiographs that are asked about.
    server, client
        Triton, and a connection to it.
    model
        The repository's graphs, opened in this process as the server opens them.
    in_process
        The same, asked as the server is.
    cold_start
        See :class:`~infmap_kit.bench.records.record.BenchRecord`.
    triton
        Version of the server that answers.
    other
        The model that is measured beside, opened in this process; ``None`` without one.
    """

    manifest: Manifest
    pictures: list[BenchPicture]
    server: RunningServer
    client: InfmapClient
    model: OpenedModel
    in_process: InfmapModel
    cold_start: dict[str, float]
    triton: str
    other: OpenedModel | None = None

    @classmethod
    @contextlib.contextmanager
    def served(
        cls,
        repository: Path,
        pictures: list[BenchPicture],
        serve: Serve = served_here,
        *,
        other: OpenedModel | None = None,
    ) -> Iterator[Self]:
        """Check a repository, serve it on free ports, and compile its graphs here too.

        Raises what :func:`~infmap_kit.serving.server.serving` raises, and ``HostMismatch`` when its
        engines do not run here.
        """
        manifest = check_repository(repository)
        begun = time.perf_counter()
        model = find(manifest.target).open(repository, manifest)
        pictures = [picture.at(model.contract.image_size) for picture in pictures]
        cold_start = {"engine_ms": _since(begun)}
        config = parse_config((repository / ENSEMBLE.name / "config.pbtxt").read_text("utf-8"))
        begun = time.perf_counter()
        with (
            serve(repository) as server,
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
                in_process=InProcessModel(config, model, release=manifest.release, copy=None),
                cold_start=cold_start,
                triton=client.server_version(),
                other=other,
            )

    @property
    def reference(self) -> Path | None:
        """The network in FP32 as ONNX; ``None`` where the repository keeps none."""
        return _reference_of(self.model)

    @property
    def other_reference(self) -> Path | None:
        """The other model's network in FP32 as ONNX; ``None`` where there is none."""
        return None if self.other is None else _reference_of(self.other)

    @property
    def network(self) -> dict[str, Any] | None:
        """The network's entry in the paper, as the model's spec has it."""
        return self.manifest.model.get("network")

    @property
    def elsewhere(self) -> str:
        """One sentence when the engine alone is not where the server has it; else empty."""
        if not on_gpu(self.manifest) or isinstance(self._engine, DeviceEngine):
            return ""
        return (
            "The server computes on the GPU and the engine alone on the CPU, since this Python's ONNX Runtime "
            "has no CUDA provider: pip install 'onnxruntime-gpu[cuda,cudnn]' in the place of onnxruntime."
        )

    @property
    def openvino_network(self) -> OpenvinoEngine | None:
        """The network's engine where it is OpenVINO's."""
        return self._engine if isinstance(self._engine, OpenvinoEngine) else None

    @property
    def _engine(self) -> Engine:
        return self.model.engines[self.model.contract.networks[0].name]

    def image(self, number: int) -> NDArray[np.uint8]:
        """Network input of the picture of a request's number, (H, H) uint8."""
        return self.pictures[number % len(self.pictures)].image

    def _compute(
        self, graph: Graph, tensors: Mapping[str, NDArray[Any]]
    ) -> dict[str, NDArray[Any]]:
        inputs = {tensor.name: tensors[tensor.name] for tensor in graph.inputs}
        outputs = [tensor.name for tensor in graph.outputs]
        return self.model.engines[graph.name].run(inputs, outputs)

    def scopes(self) -> dict[str, Timed]:
        """Scope, part or stage to its timed work."""
        client, pictures, contract = self.client, self.pictures, self.model.contract
        canvases = [picture.image[np.newaxis] for picture in pictures]
        size = contract.image_size
        decoded = [_decoded(picture, size) for picture in pictures]
        needed = [graph for graph in contract.graphs if graph not in contract.fp32_networks]
        # Inputs of each graph when it is timed alone: of the first picture, the outputs of the others.
        tensors: dict[str, NDArray[Any]] = {IMAGE.name: canvases[0], CANVAS.name: canvases[0]}
        for graph in needed:
            tensors |= self._compute(graph, tensors)
        maps = [client.infer(p.image, p.pixels)["INFECTION_MAP"] for p in pictures]

        def file_to_map(number: int, model: InfmapModel = client) -> None:
            image = quick_input(pictures[number].content, pictures[number].name, size)
            model.infer(image, image)

        def alone(graph: Graph) -> Callable[[int], object]:
            def compute(number: int) -> object:
                pixels = {IMAGE.name: canvases[number], CANVAS.name: canvases[number]}
                return self._compute(graph, tensors | pixels)

            return compute

        network, *others = contract.networks
        works: dict[str, Callable[[int], object]] = {
            ENGINE_ALONE: alone(network),
            SERVED_SEGMENTATION: lambda i: client.infer(
                pictures[i].image, outputs=[PROBABILITY.name]
            ),
            SERVED_ENSEMBLE: lambda i: client.infer(pictures[i].image, pictures[i].image),
            FILE_TO_MAP: file_to_map,
            IN_PROCESS: lambda i: file_to_map(i, self.in_process),
            NATIVE_MAP: lambda i: client.infer(pictures[i].image, pictures[i].pixels),
            ENCODE_PNG: lambda i: encode_png(maps[i]),
            DECODE: lambda i: _decoded(pictures[i], size),
            RESIZE: lambda i: network_input(decoded[i], size),
            **{graph.name: alone(graph) for graph in needed if graph not in contract.networks},
            **{part_of(other.name).name: alone(other) for other in others},
        }
        if self.other is not None:
            works[OTHER_ENGINE] = _engine_of(self.other, pictures)
        if isinstance(self._engine, DeviceEngine):
            works[ENGINE_WITH_TRANSFERS] = works[ENGINE_ALONE]
            resident = self._engine.resident({IMAGE.name: canvases[0]})
            works[ENGINE_ALONE] = lambda _: resident()
        return {name: _timed(work, len(pictures)) for name, work in works.items()}


def _reference_of(model: OpenedModel) -> Path | None:
    return model.references.get(model.contract.networks[0].name)


def _engine_of(model: OpenedModel, pictures: list[BenchPicture]) -> Callable[[int], object]:
    """The infection network of a model alone, on pictures of its own size."""
    (network, *_), size = model.contract.networks, model.contract.image_size
    images = [picture.at(size).image[np.newaxis] for picture in pictures]
    outputs = [tensor.name for tensor in network.outputs]
    engine = model.engines[network.name]
    return lambda number: engine.run({IMAGE.name: images[number]}, outputs)


def _decoded(picture: BenchPicture, image_size: int) -> NDArray[np.uint8]:
    return quick_radiograph(picture.content, picture.name, image_size).pixels


def _timed(work: Callable[[int], object], count: int) -> Timed:
    def timed(index: int) -> float:
        begun = time.perf_counter()
        work(index % count)
        return _since(begun)

    return timed


def _since(begun: float) -> float:
    return 1e3 * (time.perf_counter() - begun)
