"""The fuzzer's corpus, and with it every input that ever broke something: no traceback, 5 s, 1 GiB."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from fuzz.replay import CORPUS, inputs
from fuzz.targets import KINDS, MAX_INPUT_BYTES


@pytest.fixture(scope="module")
def findings() -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-m", "fuzz.replay"], capture_output=True, text=True, check=False,
        timeout=600, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("target", KINDS)
def test_nothing_in_the_corpus_breaks(target: str, findings: dict[str, list[str]]) -> None:
    assert findings[target] == []


def test_the_corpus_is_small_and_there() -> None:
    assert all(inputs(target) for target in KINDS)
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in files} <= set(KINDS)
    sizes = [path.stat().st_size for path in files]
    assert max(sizes) <= MAX_INPUT_BYTES
    assert sum(sizes) < 400_000
