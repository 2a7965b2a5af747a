#!/usr/bin/env python
"""What a cohort of 10^6 or 10^7 radiographs takes on 1 to 200 workers: a simulation on measured figures.

Tasks are given out as `cohort run` does: each worker has one at work and one waiting; the client takes the rows
of one task after the other. A PACS gives so many radiographs a second to all workers together. Nothing ran at
that size.

``python scripts/cohort_scale.py`` prints the tables; ``--write`` puts them into docs/scale.md.
"""

from __future__ import annotations

import argparse
import heapq
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "scale.md"
BEGIN, END = "<!-- simulation: begin -->", "<!-- simulation: end -->"

ENGINE_CORE_MS = {"fp32": 58.0, "bf16": 30.0, "int8": 16.4}
"""U-Net with DenseNet-121 by OpenVINO: medians of 29, 15 and 8.2 ms on two cores."""
AROUND_CORE_MS = 27.0
"""Hashing, decoding, resizing and describing an uncompressed DICOM file of 2500 x 3000 pixels."""
CLIENT_TASK_MS = 16.0
"""Of client and scheduler for one task of 200: 11 ms to send and take it, 5 to write its part."""
TASK_SIZE = 200
WORKERS = (1, 2, 8, 32, 100, 200)


class Outcome(NamedTuple):
    """How a run went.

    Parameters
    ----------
    hours
        From begin to end.
    busy
        Share of the time in which workers worked.
    client
        Share of the time in which the client did.
    """

    hours: float
    busy: float
    client: float


def simulate(
    radiographs: int,
    workers: int,
    *,
    radiograph_s: float,
    client_task_s: float = CLIENT_TASK_MS / 1e3,
    pacs_a_second: float = float("inf"),
    task_size: int = TASK_SIZE,
) -> Outcome:
    """Give out tasks one by one, in the order in which workers become free."""
    free = [0.0] * workers
    taken: deque[float] = deque()
    client_s = pacs_s = worked_s = end_s = 0.0
    tasks = -(-radiographs // task_size)
    for number in range(tasks):
        size = min(task_size, radiographs - number * task_size)
        start_s = heapq.heappop(free)
        if len(taken) == 2 * workers:
            # The client gives out no more than it has room for.
            start_s = max(start_s, taken.popleft())
        pacs_s = max(pacs_s, start_s) + size / pacs_a_second
        finish_s = max(start_s + size * radiograph_s, pacs_s)
        worked_s += size * radiograph_s
        client_s = max(client_s, finish_s) + client_task_s
        taken.append(client_s)
        heapq.heappush(free, finish_s)
        end_s = max(end_s, client_s)
    return Outcome(end_s / 3600, worked_s / (workers * end_s), tasks * client_task_s / end_s)


def tables() -> Iterator[str]:
    """The tables of docs/scale.md."""
    yield "| precision | core ms a radiograph | core hours for 10^6 | for 10^7 |\n|---|---|---|---|\n"
    for precision, engine_ms in ENGINE_CORE_MS.items():
        each_ms = engine_ms + AROUND_CORE_MS
        hours = each_ms / 3.6e6 * 1e6
        yield f"| {precision} | {each_ms:.0f} | {hours:.1f} | {10 * hours:.0f} |\n"
    yield "\n| radiographs | workers | fp32, hours | bf16 | int8 | int8, workers busy | client busy |\n"
    yield f"{'|---' * 7}|\n"
    for power in (6, 7):
        for workers in WORKERS:
            ran = {
                precision: simulate(
                    10**power, workers, radiograph_s=(engine_ms + AROUND_CORE_MS) / 1e3
                )
                for precision, engine_ms in ENGINE_CORE_MS.items()
            }
            hours = " | ".join(f"{one.hours:.2f}" for one in ran.values())
            last = ran["int8"]
            yield f"| 10^{power} | {workers} | {hours} | {last.busy:.0%} | {last.client:.0%} |\n"
    yield "\n| a PACS that gives, a second | 10^6 on 8 workers, int8, hours | on 32 | on 200 |\n"
    yield f"{'|---' * 4}|\n"
    radiograph_s = (ENGINE_CORE_MS["int8"] + AROUND_CORE_MS) / 1e3
    for rate in (10, 50, 200):
        hours = " | ".join(
            f"{simulate(10**6, n, radiograph_s=radiograph_s, pacs_a_second=rate).hours:.1f}"
            for n in (8, 32, 200)
        )
        yield f"| {rate} | {hours} |\n"
    yield "\n| task size | parts of 10^7 | 10^7 on 200 workers, int8, hours | client busy |\n"
    yield f"{'|---' * 4}|\n"
    for size in (50, 200, 1000):
        # Sending, hashing and renaming cost the same for each task, the rows by their number.
        client_s = CLIENT_TASK_MS / 1e3 * (0.3 + 0.7 * size / TASK_SIZE)
        ran_so = simulate(
            10**7, 200, radiograph_s=radiograph_s, client_task_s=client_s, task_size=size
        )
        yield f"| {size} | {10**7 // size:,} | {ran_so.hours:.2f} | {ran_so.client:.0%} |\n"


def filled(document: str) -> str:
    """A document with the tables between its marks."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{''.join(tables())}{END}{after}"


def main() -> None:
    """Print the tables, or write them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--write", action="store_true", help="into docs/scale.md")
    if parser.parse_args().write:
        DOCUMENT.write_text(filled(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        sys.stdout.writelines(tables())


if __name__ == "__main__":
    main()
