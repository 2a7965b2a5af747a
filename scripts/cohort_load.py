#!/usr/bin/env python
"""A cohort of many small synthetic radiographs: throughput beside the engine alone, Dask's share, flat memory.

In one run, on the same cores: engines without Dask, each with a share of the first radiographs; then
`infmap-kit cohort run` over all of them; then the engines again. The resident memory of the client and of its
workers is looked at all the while.

Example: ``.venv/bin/python scripts/cohort_load.py --repository model_repository --record FILE``
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.dataset

from infmap_kit import __version__
from infmap_kit.cluster import keep_to_cores
from infmap_kit.cohort.engine import model_of
from infmap_kit.cohort.plan import CohortOptions
from infmap_kit.cohort.rows import TIMINGS, model_digest
from infmap_kit.cohort.task import Order, work
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph

DRAWN = 50
"""Radiographs that are drawn; the others are these with one pixel changed."""
EVERY_S = 1.0


def draw(folder: Path, number: int, height: int, width: int) -> list[Path]:
    """Write so many radiographs, each of other pixels."""
    drawn = [
        synthetic_radiograph(n, height=height, width=width, infected=n % 2 == 0).radiograph.pixels
        for n in range(min(DRAWN, number))
    ]
    paths = []
    for one in range(number):
        pixels = drawn[one % len(drawn)].copy()
        pixels[0, one // len(drawn) % width] ^= 1 + one // len(drawn) // width
        path = folder / f"{one // 1000:03}" / f"{one:06}.png"
        path.parent.mkdir(exist_ok=True)
        cv2.imwrite(str(path), pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        paths.append(path)
    return paths


def order_of(repository: Path, output: Path) -> Order:
    """What the tasks of a run over a repository have in common."""
    return Order(
        repository=str(repository.absolute()),
        urls=(),
        model=model_digest(model_of(repository, ())),
        options=CohortOptions(),
        output=str(output),
        patience_s=1.0,
    )


def _alone(items: tuple[tuple[int, bytes], ...], order: Order, core: int, results: Any) -> None:
    os.sched_setaffinity(0, {core})
    work(items[:8], order)
    begun_s = time.monotonic()
    work(items, order)
    results.put((begun_s, time.monotonic(), _resident_mib(os.getpid())))


def engine_alone(paths: list[Path], order: Order, cores: list[int]) -> float:
    """Radiographs a second of processes with an engine each, without Dask and without rows on disk."""
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    shares = [
        tuple((number, os.fsencode(path)) for number, path in enumerate(paths[at :: len(cores)]))
        for at in range(len(cores))
    ]
    running = [
        context.Process(target=_alone, args=(share, order, core, results))
        for share, core in zip(shares, cores, strict=True)
    ]
    for process in running:
        process.start()
    ended = [results.get() for _ in running]
    for process in running:
        process.join()
    # From when the last had its engine open; those that began before had the cores to themselves no longer.
    return len(paths) / (max(end for _, end, _ in ended) - min(begun for begun, _, _ in ended))


def _resident_mib(process: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def _children(process: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            is_child = int(path.read_text().rpartition(")")[2].split()[1]) == process
            if is_child and b"spawn_main" in path.with_name("cmdline").read_bytes():
                found.append(int(path.parent.name))
    return sorted(found)


def cohort(folder: Path, given: argparse.Namespace, cores: list[int]) -> dict[str, Any]:
    """Run the command with a worker on each of the cores, and watch the memory."""
    asked = [
        *(sys.executable, "-m", "infmap_kit", "cohort", "run", str(folder / "in"), "--json"),
        *("--repository", str(given.repository), "--output", str(folder / "out")),
        *("--workers", str(given.workers), "--task-size", str(given.task_size)),
    ]
    memory: list[dict[str, Any]] = []
    begun_s = time.monotonic()
    running = subprocess.Popen(  # noqa: S603
        asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    while running.poll() is None:
        with contextlib.suppress(OSError):
            workers = _children(running.pid)
            # Before an engine is open, so that fewer workers than cores have one core each, too.
            for worker, core in zip(workers, cores, strict=False):
                keep_to_cores(worker, {core})
            memory.append(
                {
                    "at_s": round(time.monotonic() - begun_s, 1),
                    "client_mib": round(_resident_mib(running.pid), 1),
                    "workers_mib": [round(_resident_mib(one), 1) for one in workers],
                }
            )
        time.sleep(EVERY_S)
    stdout, stderr = running.communicate()
    if running.returncode:
        sys.exit(stderr.decode())
    told: dict[str, Any] = json.loads(stdout)
    return {**told, "whole_s": round(time.monotonic() - begun_s, 1), "memory": memory}


def main() -> None:
    """Measure, print, and keep the record where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--radiographs", type=int, default=20_000)
    parser.add_argument("--alone", type=int, default=1000, help="radiographs for the engine alone")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--task-size", type=int, default=200)
    parser.add_argument("--height", type=int, default=330)
    parser.add_argument("--width", type=int, default=280)
    parser.add_argument("--note", default="", help="what else the machine did")
    parser.add_argument("--record", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        paths = draw(folder / "in", given.radiographs, given.height, given.width)
        order = order_of(given.repository, folder)
        cores = sorted(os.sched_getaffinity(0))
        shared = [cores[number % len(cores)] for number in range(given.workers)]
        before = engine_alone(paths[: given.alone], order, shared)
        told = cohort(folder, given, shared)
        after = engine_alone(paths[: given.alone], order, shared)
        rows = pyarrow.dataset.dataset(folder / "out" / "rows", format="parquet").to_table()
        cost_ms = sum(rows[f"{stage}_ms"].to_numpy() for stage in TIMINGS)
        in_order = cost_ms[np.argsort(rows["number"].to_numpy())]
        size = sum(path.stat().st_size for path in (folder / "out" / "rows").rglob("*.parquet"))
    half = [one for one in told["memory"] if one["at_s"] > told["whole_s"] / 2]
    record = {
        "infmap-kit": __version__,
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "note": given.note,
        "cores": len(cores),
        "workers": given.workers,
        "task_size": given.task_size,
        "height": given.height,
        "width": given.width,
        "alone_a_second": [round(before, 2), round(after, 2)],
        "share_of_alone": round(2 * told["radiographs_a_second"] / (before + after), 3),
        "outside_tasks": round(1 - told["working_s"] / (given.workers * told["took_s"]), 4),
        # What a radiograph cost in the first thousand, and in each quarter of the run.
        "cost_ms": [
            round(float(part.mean()), 2) for part in (in_order[:1000], *np.array_split(in_order, 4))
        ],
        "row_bytes": round(size / given.radiographs, 1),
        "client_mib": [
            max(one["client_mib"] for one in some) for some in (told["memory"], half)
        ],
        "worker_mib": [
            max((mib for one in some for mib in one["workers_mib"]), default=0.0)
            for some in (told["memory"], half)
        ],
        "run": told,
    }  # fmt: skip
    if given.record:
        given.record.parent.mkdir(parents=True, exist_ok=True)
        given.record.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps({key: value for key, value in record.items() if key != "run"}, indent=2))


if __name__ == "__main__":
    main()
