"""All steps, each in a process of its own with a share of the time, one table, and a record.

    python prove.py PAYLOAD RESULTS [--minutes 9] [--samples 100] [--only onnx_graphs ...]

What a step found stays in RESULTS/steps, so that the next call goes on where the time ran out.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from step import card

from infmap_kit.command import console, print_result
from infmap_kit.model.files import read_json, write_bytes, write_json
from infmap_kit.report.table import Table, Toned

STEPS = ("onnx_graphs", "second_opinion", "triton_server", "training")


def main() -> int:
    """Run what was not run yet; 0 when all was, and nothing failed, 1 after a failure, 2 when time ran out."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("payload", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--only", nargs="+", choices=STEPS, default=STEPS)
    parser.add_argument("--json", action="store_true", help="print the record instead of the table")
    given = parser.parse_args()
    deadline = time.monotonic() + 60 * given.minutes
    found: dict[str, list[dict[str, Any]]] = {}
    for step in given.only:
        output = given.results / "steps" / f"{step}.json"
        if not output.is_file():
            _run(step, given.payload, output, given.samples, deadline - time.monotonic())
        if output.is_file():
            found[step] = read_json(output)["findings"]
    described = card()
    table = _table(described, found)
    started = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S")
    name = re.sub(r"[^a-z0-9]+", "-", str(described["gpu"]).lower()).strip("-")
    stem = given.results / f"{'cpu' if name == 'none' else name}-{started}"
    record = {"card": described, "steps": found}
    print_result(record, table, as_json=given.json)
    write_json(stem.with_suffix(".json"), record)
    write_bytes(stem.with_suffix(".md"), table.markdown().encode())
    console.print(f"Written to {stem}.{{json,md}}.", highlight=False)
    left = [step for step in given.only if step not in found]
    if left:
        console.print(f"No time was left for {', '.join(left)}: call again.", highlight=False)
        return 2
    return int(any(one["passed"] is False for findings in found.values() for one in findings))


def _run(step: str, payload: Path, output: Path, samples: int, seconds: float) -> None:
    """A step as a process: one that crashes or hangs leaves the others alone."""
    if seconds <= 0:
        return
    console.print(f"{step} ...", highlight=False)
    script = Path(__file__).with_name(f"{step}.py")
    command = [sys.executable, str(script), str(payload), str(output), str(samples)]
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(command, check=False, timeout=seconds)  # noqa: S603  # our own steps
    except subprocess.TimeoutExpired:
        return
    if not output.is_file():
        broken = {
            "what": step,
            "expected": "an answer",
            "found": f"it ended with {done.returncode}",
        }
        write_json(output, {"findings": [{**broken, "passed": False, "figures": {}}]})


def _table(described: dict[str, Any], found: dict[str, list[dict[str, Any]]]) -> Table:
    words = {True: Toned("yes", "good"), False: Toned("NO", "bad"), None: ""}
    rows = []
    for findings in found.values():
        rows += [
            (one["what"], one["expected"], one["found"], words[one["passed"]]) for one in findings
        ]
    about = {key: described.get(key) for key in ("gpu", "driver", "processor")} | described[
        "versions"
    ]
    return Table(
        "What was proved on this machine",
        ("what", "expected", "found", "as expected"),
        rows,
        notes=(json.dumps({key: value for key, value in about.items() if value}),),
        words=("what", "expected", "found"),
    )


if __name__ == "__main__":
    sys.exit(main())
