"""`scripts/gpu`, from packing to the table, on a machine without a GPU: what needs one was not run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest

from infmap_kit.tensorrt.present_gpu import has_gpu
from small_network import small_network

SCRIPTS = Path(__file__).parents[2] / "scripts" / "gpu"

pytestmark = pytest.mark.skipif(has_gpu(), reason="is about machines without an NVIDIA GPU")


def _python(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small network, and in the place of its graph in Q/DQ the same network once more."""
    folder = tmp_path_factory.mktemp("packed")
    onnx.save(small_network(), folder / "small.onnx")
    (folder / "server").mkdir()
    done = _python(
        *(SCRIPTS / "pack.py", folder / "parts", "--run", folder / "small.onnx", "--no-wheels"),
        *("--int8", folder / "small.onnx", "--server", folder / "server", "--part-mib", "0.5"),
    )
    assert done.returncode == 0, done.stderr
    return folder / "parts"


@pytest.fixture(scope="module")
def payload(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What came of parts that were brought one by one, on a machine that had no time for a step."""
    folder = tmp_path_factory.mktemp("machine")
    names = sorted(json.loads((packed / "parts.json").read_text())["parts"])
    assert len(names) > 1
    assert all((packed / name).stat().st_size <= 0.5 * 2**20 for name in names)
    for number, name in enumerate(names):
        visit = folder / f"visit-{number}"
        visit.mkdir()
        for file in ("run.py", "parts.json", name):
            shutil.copy(packed / file, visit)
        done = _python(
            *(visit / "run.py", "--store", folder / "store", "--results", folder / "results"),
            *("--minutes", "0"),
        )
        left = names[number + 1 :]
        if left:
            assert done.returncode == 0, done.stderr
            assert f"{len(left)} of {len(names)} parts are missing: {left[0]}" in done.stdout
    assert done.returncode == 2, done.stderr
    assert "No time was left for onnx_graphs" in done.stderr
    (unpacked,) = (folder / "store").glob("*/payload")
    return unpacked


def _proved(payload: Path, results: Path, *words: object) -> tuple[int, dict[str, Any], str]:
    script = payload / "code" / "gpu" / "prove.py"
    done = _python(script, payload, results, "--samples", 10, *words)
    (path,) = results.glob("cpu-*.json")
    assert path.with_suffix(".md").is_file()
    return done.returncode, json.loads(path.read_text()), done.stdout + done.stderr


def test_a_damaged_part_is_refused(packed: Path, tmp_path: Path) -> None:
    shutil.copytree(packed, tmp_path / "parts")
    part = tmp_path / "parts" / "part-01"
    damaged = bytearray(part.read_bytes())
    damaged[-1] ^= 1
    part.write_bytes(damaged)
    done = _python(tmp_path / "parts" / "run.py", "--store", tmp_path / "store")
    assert done.returncode == 1
    assert done.stderr == "part-01 is damaged: bring it again\n"


def test_what_a_cpu_can_prove_is_proved_and_the_rest_says_why_not(
    payload: Path, tmp_path: Path
) -> None:
    code, record, printed = _proved(payload, tmp_path)
    assert code == 0, printed
    assert record["card"]["gpu"] == "none"
    assert record["card"]["versions"]["onnxruntime"]
    found = {one["what"]: one for step in record["steps"].values() for one in step}
    for precision in ("fp32", "fp16", "int8"):
        for batch in (1, 8, 32):
            one = found[f"{precision} on cpu, batch {batch}"]
            assert one["passed"] is True
            assert one["figures"]["dice"] >= 0.999
            timed = found[f"{precision} on cpu, batch {batch}, from host memory"]
            assert timed["figures"]["p50_ms"] > 0
        assert found[f"{precision}, resident and as a CUDA graph"]["found"] == "not run: no GPU"
    # The real server, and the gate through it.
    assert found["embedded-fp32, served"]["passed"] is True
    assert found["embedded-fp32, served ensemble"]["figures"]["n"] >= 10
    for name in ("onnxruntime-fp32, served", "onnxruntime-fp16, served"):
        assert found[name]["found"] == "not run: no GPU"
    assert found["second_opinion"]["found"].startswith("not run: ")
    assert found["training"]["found"].startswith("not run: ")


def test_a_graph_that_decides_otherwise_is_named(payload: Path, tmp_path: Path) -> None:
    other = tmp_path / "payload"
    shutil.copytree(payload, other, symlinks=True)
    onnx.save(
        small_network(image="IMAGE", probability="probability", bias=-5.0), other / "int8.onnx"
    )
    code, record, _ = _proved(other, tmp_path / "results", "--only", "onnx_graphs")
    assert code == 1
    wrong = {one["what"] for one in record["steps"]["onnx_graphs"] if one["passed"] is False}
    assert wrong == {f"int8 on cpu, batch {batch}" for batch in (1, 8, 32)}
