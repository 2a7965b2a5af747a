"""`infmap-kit bench` against the real server: the scopes nest, and the record can be believed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_bench_measures_nested_scopes(repository: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "infmap_kit", "bench", "--json", "--samples", "20"]
    command += ["--repository", str(repository), "--warm-up", "3", "--results", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    scopes = record["scopes"]
    assert {len(scope["samples_ms"]) for scope in scopes.values()} == {20}
    # Each scope holds the one before; the quickest request of each is what noise disturbs least.
    quickest = [
        min(scopes[name]["samples_ms"])
        for name in ("engine alone", "served ensemble", "file to map")
    ]
    assert quickest == sorted(quickest)
    assert record["precision"] == "fp32"
    assert record["machine"]["cores"] >= 1
    assert record["model"]["convolutions_by_type"] == {"f32": 131}
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".md"}
