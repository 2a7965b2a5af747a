"""`infmap-kit bench` against the real server: the scopes nest, and the record can be believed."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest


def test_bench_measures_nested_scopes(repository: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "infmap_kit", "bench", "--json", "--samples", "20"]
    command += ["--repository", str(repository), "--warm-up", "3", "--results", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    scopes = record["scopes"]
    assert {len(scope["samples_ms"]) for scope in scopes.values()} == {20}
    # Each scope holds the one before. What else the machine does comes and goes, so the quickest request of
    # one is held against the middle of the next.
    names = ("engine alone", "served ensemble", "file to map")
    for inner, outer in itertools.pairwise(names):
        assert min(scopes[inner]["samples_ms"]) < scopes[outer]["p50_ms"]
    for name in names:
        samples = sorted(scopes[name]["samples_ms"])
        assert samples[0] > 1, "a network that answers within a millisecond was not asked"
        assert scopes[name]["p50_ms"] == pytest.approx((samples[9] + samples[10]) / 2, abs=1e-3)
    assert record["precision"] == "fp32"
    assert record["machine"]["cores"] >= 1
    assert record["model"]["convolutions_by_type"] == {"f32": 131}
    assert {path.suffix for path in tmp_path.iterdir()} == {".json", ".md"}
