"""Runs over cohorts, as a user gives them, and the rows that they leave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infmap_kit.cohort.parts import ROWS, read_parts
from infmap_kit.cohort.rows import TIMINGS
from infmap_kit.model.files import sha256_of

_TIMES = {f"{stage}_ms" for stage in TIMINGS}


def command(*inputs: object, output: Path, **options: object) -> list[str]:
    """`infmap-kit cohort run`; an option ``task_size=4`` is ``--task-size 4``."""
    words: list[object] = [
        sys.executable,
        "-m",
        "infmap_kit",
        "cohort",
        "run",
        *inputs,
        "-o",
        output,
    ]
    for name, value in options.items():
        for one in value if isinstance(value, tuple) else (value,):
            words += [f"--{name.replace('_', '-')}", one]
    return [*map(str, words), "--json"]


def run(
    *inputs: object,
    output: Path,
    env: Mapping[str, str] | None = None,
    code: int = 0,
    **options: object,
) -> dict[str, Any]:
    """Run to the end, and give what `--json` printed, with ``told`` of stderr."""
    done = subprocess.run(
        command(*inputs, output=output, **options),
        capture_output=True, text=True, check=False, timeout=400, env={**os.environ, **(env or {})},
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    document: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}
    return {**document, "told": done.stderr}


def rows_of(output: Path) -> list[dict[str, Any]]:
    """Rows that a reader of the data set finds who knows no manifest, by number and without times."""
    import pyarrow.dataset as ds

    rows = ds.dataset(output / ROWS, format="parquet").to_table().to_pylist()
    kept = [{key: value for key, value in row.items() if key not in _TIMES} for row in rows]
    return sorted(kept, key=lambda row: int(row["number"]))


def require_whole(output: Path) -> None:
    """Each part is what the manifest says, and there is no other file."""
    parts = read_parts(output)
    found = {str(path.relative_to(output)) for path in (output / ROWS).rglob("*") if path.is_file()}
    assert found == {part.name for part in parts}
    assert all(sha256_of(output / part.name) == part.sha256 for part in parts)
