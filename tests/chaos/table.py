"""The figures of docs/reliability.md, from the newest records: ``python -m chaos.table`` fills them in."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chaos.troubles import Trouble

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "chaos"
DOCUMENT = ROOT / "docs" / "reliability.md"
_NOT_YET = "Not run whole yet.\n"


def filled(text: str) -> str:
    """The document with the figures of the newest record of each kind."""
    for name, draw in (("chaos", _chaos), ("load", _load), ("gateway", _load)):
        files = sorted(RESULTS.glob(f"{name}-*.json"))
        figures = draw(json.loads(files[-1].read_text())) if files else _NOT_YET
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        pattern = re.compile(f"({re.escape(begin)}).*?({re.escape(end)})", re.DOTALL)
        text = pattern.sub(rf"\g<1>{figures}\g<2>", text)
    return text


def _chaos(record: dict[str, Any]) -> str:
    rows = [
        [name, counts["kills"], *(counts["by_trouble"][trouble] for trouble in Trouble),
         counts["violations"]]
        for name, counts in record["victims"].items()
    ]  # fmt: skip
    total = ["all", *(sum(column) for column in zip(*(row[1:] for row in rows), strict=True))]
    wrong = [trouble if trouble != Trouble.NONE else "nothing else" for trouble in Trouble]
    return (
        f"{record['kills']} kills in {record['seconds'] / 60:.0f} minutes on {record['machine']['cpus']} CPUs, "
        f"begun {record['began']}, seed {record['seed']}, version {record['version']}.\n\n"
        + _table(
            ["victim", "kills", *(f"with {one}" for one in wrong), "violations"], [*rows, total]
        )
    )


def _load(record: dict[str, Any]) -> str:
    rows = [
        [process, *(f"{values['mib'][minute]:.0f}" for minute in record["minutes"]),
         f"{values['slope_mib_per_1000_requests']:+.2f}"]
        for process, values in record["memory"].items()
    ]  # fmt: skip
    minutes = [f"MiB at minute {minute}" for minute in record["minutes"]]
    return (
        f"{record['clients']} clients, {record['requests']} requests in {record['seconds'] / 60:.1f} minutes, "
        f"{record['errors']} errors, begun {record['began']}, version {record['version']}.\n\n"
        + _table(["process", *minutes, "slope, MiB per 1000 requests"], rows)
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


if __name__ == "__main__":
    DOCUMENT.write_text(filled(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
