"""A server under load: throughput by batch and concurrency, and open-loop arrivals.

Nothing here is the latency of a request at rest. In a closed loop each client waits for its answer before
it asks again, so that a slow server is asked less, and its bad moments are hardly seen (coordinated
omission). In an open loop requests are due at times that no answer delays, and a request's latency counts
from when it was due.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import functools
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.bench.baselines.benchmark_app import measure_limit
from infmap_kit.bench.statistics import Latencies
from infmap_kit.bench.subject import Subject
from infmap_kit.errors import SpecError
from infmap_kit.model.tensors import CANVAS, IMAGE
from infmap_kit.parts.contract import ENSEMBLE
from infmap_kit.progress import Progress, no_progress
from infmap_kit.triton.client import InfmapClient

_OUTPUTS = [tensor.name for tensor in ENSEMBLE.outputs]

_WAITING_CLIENTS = 64
"""Connections of the open loop. When all of them wait for answers, the next request is late, and its
lateness counts."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """The load that is put on the server.

    Parameters
    ----------
    concurrencies
        Clients that ask at the same time, one picture a request.
    batches
        Pictures in one request of a single client.
    offered_shares
        Rates of the open loop, as shares of the highest throughput of single pictures.
    seconds
        Duration of each measurement.
    seed
        Seed of the arrivals.
    """

    concurrencies: tuple[int, ...] = (1, 2, 4, 8, 16)
    batches: tuple[int, ...] = (1, 2, 4, 8, 16)
    offered_shares: tuple[float, ...] = (0.3, 0.5, 0.8)
    seconds: float = 8.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.seconds <= 0 or min(self.offered_shares, default=1) <= 0:
            raise SpecError(
                "expected more than 0 seconds and shares above 0 to offer, found "
                f"{self.seconds:g} and {', '.join(f'{share:g}' for share in self.offered_shares)}"
            )


def limit_of(subject: Subject, options: LoadOptions) -> dict[str, Any]:
    """The highest throughput of the network alone on these cores; ``missing`` is the reason if unknown."""
    network = subject.openvino_network
    if network is None:
        return {"missing": "the engine is not OpenVINO's, whose benchmark_app measures its own"}
    try:
        limit = measure_limit(
            network.path,
            precision=network.precision,
            image_size=subject.model.contract.image_size,
            seconds=options.seconds,
        )
    except SpecError as error:
        return {"missing": str(error)}
    return limit.as_json()


def closed_loop(
    subject: Subject, options: LoadOptions, *, progress: Progress = no_progress
) -> list[dict[str, Any]]:
    """Throughput by concurrency at batch 1, and by batch with one client.

    Raises
    ------
    ServerError
        When the server stops answering.
    """
    points = [(1, clients) for clients in options.concurrencies]
    points += [(batch, 1) for batch in options.batches if batch != 1]
    results = []
    for done, (batch, clients) in enumerate(points):
        progress("throughput", done, len(points))
        images = np.stack([subject.image(number) for number in range(batch)])
        ask = functools.partial(
            InfmapClient.ask,
            model=ENSEMBLE.name,
            inputs={IMAGE.name: images, CANVAS.name: images},
            outputs=_OUTPUTS,
        )
        # The first requests of a new batch size compile nothing, but they make Triton's memory.
        for seconds in (min(1.0, options.seconds / 4), options.seconds):
            samples, took = ask_repeatedly(
                subject.server.grpc_url, ask, clients=clients, seconds=seconds
            )
        results.append(
            {
                "batch": batch,
                "concurrency": clients,
                "requests": len(samples),
                "seconds": round(took, 3),
                "images_per_s": round(batch * len(samples) / took, 3),
                **_figures(samples),
            }
        )
    return results


def open_loop(
    subject: Subject,
    options: LoadOptions,
    fastest_per_s: float,
    *,
    progress: Progress = no_progress,
) -> list[dict[str, Any]]:
    """Latency under Poisson arrivals, counted from when each request was due.

    Parameters
    ----------
    fastest_per_s
        The highest throughput; the offered rates are shares of it.

    Raises
    ------
    ServerError
        When the server stops answering.
    """
    results = []
    for done, share in enumerate(options.offered_shares):
        progress("open loop", done, len(options.offered_shares))
        rate = share * fastest_per_s
        arrivals = poisson_arrivals(rate, options.seconds, seed=options.seed + done)
        with contextlib.ExitStack() as connections:
            samples, seconds = replay(arrivals, _ask_by_thread(subject, connections))
        results.append(
            {
                "offered_per_s": round(rate, 3),
                "offered_share": share,
                "requests": len(samples),
                "answered_per_s": round(len(samples) / seconds, 3),
                **_figures(samples),
            }
        )
    return results


def poisson_arrivals(rate_per_s: float, seconds: float, *, seed: int) -> NDArray[np.float64]:
    """Times of requests in seconds from 0, with exponential gaps; at least one."""
    random = np.random.default_rng(seed)
    expected = max(1, round(rate_per_s * seconds))
    due: NDArray[np.float64] = np.cumsum(random.exponential(1 / rate_per_s, expected))
    return due


def replay(
    arrivals: NDArray[np.floating[Any]],
    ask: Callable[[int], None],
    *,
    clients: int = _WAITING_CLIENTS,
) -> tuple[list[float], float]:
    """Ask when requests are due, whether or not those before were answered.

    Parameters
    ----------
    arrivals
        Seconds from the beginning, rising.
    ask
        Makes the request of a number; called in several threads at once.

    Returns
    -------
    tuple
        Milliseconds from when each request was due to its answer, in the order of arrival, and how many seconds
        passed until the last answer.
    """
    begun = time.perf_counter()

    def request(number: int) -> float:
        ask(number)
        return 1e3 * (time.perf_counter() - begun - float(arrivals[number]))

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        pending = []
        for number, due in enumerate(arrivals):
            if (early := float(due) - (time.perf_counter() - begun)) > 0:
                time.sleep(early)
            pending.append(pool.submit(request, number))
        samples = [future.result() for future in pending]
    return samples, time.perf_counter() - begun


def ask_repeatedly(
    url: str, ask: Callable[[InfmapClient], object], *, clients: int, seconds: float
) -> tuple[list[float], float]:
    """Let some clients ask for some seconds, each again as soon as it has its answer.

    Parameters
    ----------
    url
        The server's gRPC endpoint.
    ask
        Makes a request.

    Returns
    -------
    tuple
        Milliseconds of every request, and how many seconds passed until the last answer.
    """
    begun = time.perf_counter()

    def loop() -> list[float]:
        samples: list[float] = []
        with InfmapClient(url) as client:
            while not samples or time.perf_counter() - begun < seconds:
                asked = time.perf_counter()
                ask(client)
                samples.append(1e3 * (time.perf_counter() - asked))
        return samples

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        loops = [pool.submit(loop) for _ in range(clients)]
        samples = [ms for future in loops for ms in future.result()]
    return samples, time.perf_counter() - begun


def _ask_by_thread(subject: Subject, connections: contextlib.ExitStack) -> Callable[[int], None]:
    """Ask about the picture of a number; each thread has a connection of its own."""
    of_thread = threading.local()

    def ask(number: int) -> None:
        if not hasattr(of_thread, "client"):
            of_thread.client = connections.enter_context(InfmapClient(subject.server.grpc_url))
        image = subject.image(number)
        of_thread.client.infer(image, image)

    return ask


def _figures(samples: Sequence[float]) -> dict[str, Any]:
    figures = dataclasses.asdict(Latencies(tuple(samples)).summary())
    keys = ("p50_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms", "mean_ms")
    return {
        **{key: round(figures[key], 3) for key in keys},
        "samples_ms": [round(ms, 3) for ms in samples],
    }
