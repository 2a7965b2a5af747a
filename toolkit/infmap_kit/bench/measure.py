"""Per-sample latency in three nested scopes, measured in turn in one run.

A latency is the time of one request with one picture. A batch's time divided by its size is
a throughput turned upside down, and is never reported here as a latency.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.bench.machine import describe_machine
from infmap_kit.errors import InputRejected
from infmap_kit.export.engine import EmbeddedEngine
from infmap_kit.graphs.contract import SEGMENTATION
from infmap_kit.imaging.files import find_pictures
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.readers import decode_radiograph
from infmap_kit.imaging.synthetic import synthetic_radiograph
from infmap_kit.infer import encode_png
from infmap_kit.progress import Progress, no_progress
from infmap_kit.triton.backends import MODEL_FILE
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.config import Target, parse_config
from infmap_kit.triton.repository import Manifest, version_folder, versions
from infmap_kit.triton.runtime import TRITON_VERSION
from infmap_kit.triton.serving import free_ports, serving

ENGINE_ALONE = "engine alone"
SERVED_ENSEMBLE = "served ensemble"
FILE_TO_MAP = "file to map"
NATIVE_MAP = "served, map at native size"
ENCODE_PNG = "PNG of the native map"

SCOPES = {
    ENGINE_ALONE: "network input in memory to probability, in this process",
    SERVED_ENSEMBLE: "network input in memory to all four outputs, through Triton by gRPC",
    FILE_TO_MAP: "encoded bytes in memory to the map at the network's size, through Triton",
}
"""The nested scopes: each holds the one before it."""

APART = {
    NATIVE_MAP: "as served ensemble, but painted at the picture's own size",
    ENCODE_PNG: "encoding that map",
}
"""What comes on top for a map at native size on disk."""

# Scopes are measured in turn, so many samples at a time: a machine that is slower for a while is slower
# for all of them, and ratios stay.
_BLOCK = 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """How long to measure.

    Parameters
    ----------
    samples
        Measured requests in each scope.
    warm_up
        Requests in each scope before.
    """

    samples: int = 200
    warm_up: int = 20


@dataclasses.dataclass(frozen=True)
class Latencies:
    """Raw samples of one scope.

    Parameters
    ----------
    samples_ms
        Milliseconds of each request, in order.
    """

    samples_ms: tuple[float, ...]

    def quantile_ms(self, share: float) -> float:
        """The latency that this share of requests stays within."""
        return float(np.quantile(self.samples_ms, share))

    def summary(self) -> dict[str, float | int]:
        """Figures of a report, in milliseconds."""
        return {
            "p50_ms": self.quantile_ms(0.5),
            "p90_ms": self.quantile_ms(0.9),
            "p99_ms": self.quantile_ms(0.99),
            "mean_ms": float(np.mean(self.samples_ms)),
            "max_ms": max(self.samples_ms),
            "n": len(self.samples_ms),
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchRecord:
    """Everything that was measured, and on what.

    Parameters
    ----------
    scopes
        Scope name to its samples.
    model
        Manifest's account of the model.
    target, precision
        Of the repository.
    pictures
        Name, size and format of the radiographs that were asked about.
    machine, versions
        Where it was measured.
    started
        UTC, ISO 8601.
    options
        How long it was measured.
    """

    scopes: dict[str, Latencies]
    model: dict[str, Any]
    target: str
    precision: str
    pictures: list[str]
    machine: dict[str, Any]
    versions: dict[str, str]
    started: str
    options: BenchOptions

    @property
    def overhead_ms(self) -> float:
        """What everything around the engine adds: file to map less engine alone, at p50."""
        return self.scopes[FILE_TO_MAP].quantile_ms(0.5) - self.scopes[ENGINE_ALONE].quantile_ms(
            0.5
        )

    def as_json(self) -> dict[str, Any]:
        """The record for a file, raw samples included."""
        document = dataclasses.asdict(self)
        document["scopes"] = {
            name: {
                **latencies.summary(),
                "samples_ms": [round(ms, 4) for ms in latencies.samples_ms],
            }
            for name, latencies in self.scopes.items()
        }
        document["overhead_p50_ms"] = self.overhead_ms
        return document


def measure(
    repository: Path,
    files: Sequence[Path],
    options: BenchOptions,
    *,
    progress: Progress = no_progress,
) -> BenchRecord:
    """Serve a repository on free ports and measure it.

    Parameters
    ----------
    repository
        Published for the embedded target.
    files
        Radiographs or folders of them; without any, synthetic JPEGs of a megapixel are made.
    options
        How long.

    Raises
    ------
    InputRejected
        When a file is no suitable radiograph.
    ServerError
        When the server does not start, or dies.
    """
    manifest = Manifest.read(repository)
    contents = _contents(files)
    radiographs = [decode_radiograph(content, name) for name, content in contents]
    machine = describe_machine()
    started = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    parameters = parse_config(
        (repository / SEGMENTATION.name / "config.pbtxt").read_text(encoding="utf-8")
    ).parameters
    engine = EmbeddedEngine(
        version_folder(repository, SEGMENTATION.name, manifest.release)
        / MODEL_FILE[Target.EMBEDDED],
        precision=parameters["precision"].string_value,
        threads=int(parameters["threads"].string_value),
    )
    with serving(repository, free_ports()) as server, InfmapClient(server.grpc_url) as client:

        def engine_alone(index: int) -> float:
            return _timed(lambda image: engine.infer(image[np.newaxis]), images[index])

        def served_ensemble(index: int) -> float:
            return _timed(lambda image: client.infer(image, image), images[index])

        def file_to_map(index: int) -> float:
            return _timed(lambda content: _map_of(content, client), contents[index][1])

        def native_map(index: int) -> float:
            return _timed(
                lambda pixels: client.infer(images[index], pixels), radiographs[index].pixels
            )

        def write_png(index: int) -> float:
            return _timed(encode_png, maps[index])

        images = [network_input(radiograph.pixels) for radiograph in radiographs]
        maps = [
            client.infer(image, radiograph.pixels)["INFECTION_MAP"]
            for image, radiograph in zip(images, radiographs, strict=True)
        ]
        scopes: dict[str, Callable[[int], float]] = {
            ENGINE_ALONE: engine_alone,
            SERVED_ENSEMBLE: served_ensemble,
            FILE_TO_MAP: file_to_map,
            NATIVE_MAP: native_map,
            ENCODE_PNG: write_png,
        }
        samples = _in_turn(scopes, len(contents), options, progress)
    return BenchRecord(
        scopes={name: Latencies(tuple(values)) for name, values in samples.items()},
        model=manifest.model,
        target=manifest.target,
        precision=manifest.precision,
        pictures=[
            f"{radiograph.name} {radiograph.width}x{radiograph.height} {radiograph.media_type}"
            for radiograph in radiographs
        ],
        machine=machine,
        versions={**versions("openvino", "tritonclient", "numpy"), "triton": TRITON_VERSION},
        started=started,
        options=options,
    )


def _in_turn(
    scopes: dict[str, Callable[[int], float]],
    pictures: int,
    options: BenchOptions,
    progress: Progress,
) -> dict[str, list[float]]:
    samples: dict[str, list[float]] = {name: [] for name in scopes}
    total = options.samples * len(scopes)
    for name, scope in scopes.items():
        for index in range(options.warm_up):
            scope(index % pictures)
            progress(f"warm-up: {name}", index + 1, options.warm_up)
    for block in _blocks(options.samples):
        for name, scope in scopes.items():
            samples[name] += [scope(index % pictures) for index in block]
            progress(name, sum(map(len, samples.values())), total)
    return samples


def _blocks(samples: int) -> Iterator[range]:
    for start in range(0, samples, _BLOCK):
        yield range(start, min(start + _BLOCK, samples))


def _timed(work: Callable[[Any], Any], argument: Any) -> float:
    started = time.perf_counter()
    work(argument)
    return 1e3 * (time.perf_counter() - started)


def _map_of(content: bytes, client: InfmapClient) -> NDArray[np.uint8]:
    image = network_input(decode_radiograph(content, "bench").pixels)
    result: NDArray[np.uint8] = client.infer(image, image)["INFECTION_MAP"]
    return result


def _contents(files: Sequence[Path]) -> list[tuple[str, bytes]]:
    pictures = find_pictures(files)
    if files and not pictures:
        raise InputRejected("empty", f"found no picture in {', '.join(map(str, files))}")
    if pictures:
        try:
            return [(path.name, path.read_bytes()) for path in pictures]
        except OSError as error:
            raise InputRejected(
                "unreadable", f"cannot read {error.filename}: {error.strerror}"
            ) from error
    return [
        (f"synthetic-{seed}.jpg", _jpeg(synthetic_radiograph(seed).radiograph.pixels))
        for seed in range(4)
    ]


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
