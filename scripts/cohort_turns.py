#!/usr/bin/env python
"""One worker, two workers, and two engines without Dask in turn, on the same cores and the same radiographs.

A machine that is at times twice as quick as at others makes no ratio of two long runs. Here each has its turn
of some seconds, again and again, and the ratios are of neighbours.

Example: ``.venv/bin/python scripts/cohort_turns.py --repository model_repository --record FILE``
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from cohort_load import draw, order_of

from infmap_kit import __version__
from infmap_kit.bench.statistics import Latencies, paired_ratio
from infmap_kit.cluster import ClusterOptions, connected
from infmap_kit.cohort.task import Order, work


def _engine(pipe: Connection, order: Order, core: int) -> None:
    """An engine in a process without Dask: it judges what it is told, until that is nothing."""
    os.sched_setaffinity(0, {core})
    while items := pipe.recv():
        work(items, order)
        pipe.send(True)


def _latency_ms(judge: Callable[[], Any], number: int) -> float:
    begun_s = time.monotonic()
    judge()
    return 1e3 * (time.monotonic() - begun_s) / number


def measure(repository: Path, folder: Path, turns: int, block: int) -> dict[str, list[float]]:
    """Milliseconds per radiograph of each turn, by who had it."""
    order = order_of(repository, folder)
    drawn = enumerate(draw(folder, 2 * block, 330, 280))
    items = tuple((number, os.fsencode(path)) for number, path in drawn)
    halves = (items[:block], items[block:])
    context = multiprocessing.get_context("spawn")
    pipes = []
    for core in sorted(os.sched_getaffinity(0))[:2]:
        here, there = context.Pipe()
        context.Process(target=_engine, args=(there, order, core), daemon=True).start()
        pipes.append(here)

    def without_dask() -> None:
        for pipe, half in zip(pipes, halves, strict=True):
            pipe.send(half)
        for pipe in pipes:
            pipe.recv()

    with connected(ClusterOptions(workers=2)) as client:
        workers = list(client.scheduler_info()["workers"])

        def on(*which: str) -> None:
            asked = [
                client.submit(work, half, order, pure=False, workers=[worker])
                for worker, half in zip(which, halves, strict=False)
            ]
            for future in asked:
                future.result()

        without_dask()
        on(*workers)
        latencies: dict[str, list[float]] = {"one": [], "two": [], "without_dask": []}
        for turn in range(turns):
            latencies["one"].append(_latency_ms(lambda at=turn % 2: on(workers[at]), block))
            latencies["two"].append(_latency_ms(lambda: on(*workers), 2 * block))
            latencies["without_dask"].append(_latency_ms(without_dask, 2 * block))
    for pipe in pipes:
        pipe.send(())
    return latencies


def main() -> None:
    """Measure, print, and keep the record where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--turns", type=int, default=30)
    parser.add_argument("--block", type=int, default=100, help="radiographs of a worker in a turn")
    parser.add_argument("--record", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        latencies = measure(given.repository, Path(name), given.turns, given.block)
    of = {name: Latencies(tuple(values)) for name, values in latencies.items()}
    record = {
        "infmap-kit": __version__,
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "cores": len(os.sched_getaffinity(0)),
        "speed_up": vars(paired_ratio(of["one"], of["two"])),
        "share_of_engines": vars(paired_ratio(of["without_dask"], of["two"])),
        "latencies_ms": {
            name: [round(one, 3) for one in values] for name, values in latencies.items()
        },
    }
    if given.record:
        given.record.parent.mkdir(parents=True, exist_ok=True)
        given.record.write_text(json.dumps(record, indent=2) + "\n")
    print(
        json.dumps({key: value for key, value in record.items() if key != "latencies_ms"}, indent=2)
    )


if __name__ == "__main__":
    main()
