"""The runner computes what is asked for and nothing else, and one bad request spoils none after it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from cpu_features import cpu_has
from infmap_kit.graphs.detection import detection_graph
from infmap_kit.graphs.rendering import rendering_graph
from infmap_kit.triton.python_model import CompiledGraph, Pipeline


class _Counted:
    """A graph that adds one to what it is given, and counts."""

    def __init__(self, source: str, *results: str) -> None:
        self.inputs, self.outputs, self.calls = (source,), results, 0

    def infer(self, inputs: dict[str, Any]) -> dict[str, Any]:
        self.calls += 1
        return dict.fromkeys(self.outputs, inputs[self.inputs[0]] + 1)


@pytest.mark.parametrize(
    ("outputs", "calls"),
    [(["b"], (1, 0, 0)), (["c"], (1, 1, 0)), (["e"], (1, 0, 1)), (["c", "d", "e"], (1, 1, 1)), ([], (0, 0, 0))],
)  # fmt: skip
def test_only_what_is_asked_for_is_computed(outputs: list[str], calls: tuple[int, ...]) -> None:
    graphs: list[Any] = [_Counted("a", "b"), _Counted("b", "c", "d"), _Counted("b", "e")]
    results = Pipeline(graphs).infer({"a": np.zeros(1)}, outputs)
    assert list(results) == outputs
    assert tuple(graph.calls for graph in graphs) == calls
    assert all(results[name][0] == (1 if name == "b" else 2) for name in outputs)


@pytest.fixture(scope="module")
def rendering(tmp_path_factory: pytest.TempPathFactory) -> CompiledGraph:
    path = tmp_path_factory.mktemp("graphs") / "rendering.onnx"
    onnx.save(rendering_graph(), path)
    return CompiledGraph(path, precision="f32", threads=1)


@pytest.mark.parametrize("shape", [(2, 64, 64), (1, 0, 64), (0, 64, 64)])
def test_pictures_that_do_not_fit_are_refused_and_forgotten(
    rendering: CompiledGraph, shape: tuple[int, ...]
) -> None:
    probability = np.zeros((1, 224, 224), np.float32)
    with pytest.raises(ValueError, match="as many pictures"):
        rendering.infer({"probability": probability, "CANVAS": np.zeros(shape, np.uint8)})
    good = {"probability": probability, "CANVAS": np.full((1, 64, 64), 7, np.uint8)}
    assert (rendering.infer(good)["INFECTION_MAP"] == 7).all()


def test_more_pixels_than_allowed_are_refused_before_anything_is_computed() -> None:
    graphs: list[Any] = [_Counted("a", "b")]
    pipeline = Pipeline(graphs, most_pixels=40_000_000)
    # Of an array that takes no memory.
    large = np.broadcast_to(np.uint8(0), (2, 5000, 4001))
    with pytest.raises(
        ValueError, match=r"^expected a of at most 40 megapixels in a request, found 40\.0"
    ):
        pipeline.infer({"a": large}, ["b"])
    assert graphs[0].calls == 0
    pipeline.infer({"a": np.zeros((1, 40, 40), np.uint8)}, ["b"])
    assert graphs[0].calls == 1


def test_the_memory_of_a_large_request_is_given_back(tmp_path: Path) -> None:
    onnx.save(rendering_graph(), tmp_path / "rendering.onnx")
    code = """
import sys
from pathlib import Path
import numpy as np
from infmap_kit.triton.python_model import CompiledGraph, Pipeline

def memory_mib(what):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(what))) >> 10

graph = CompiledGraph(Path(sys.argv[1]), precision="f32", threads=2)
def paint(side):
    inputs = {"probability": np.zeros((1, 224, 224), np.float32)}
    inputs["CANVAS"] = np.full((1, side, side), 9, np.uint8)
    assert (Pipeline([graph]).infer(inputs, ["INFECTION_MAP"])["INFECTION_MAP"] == 9).all()

paint(500)
before = memory_mib("VmRSS")
paint(4200)
print(before, memory_mib("VmHWM"), memory_mib("VmRSS"))
paint(500)
paint(4200)
print(memory_mib("VmHWM"))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "rendering.onnx"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    before, highest, after, highest_again = map(int, done.stdout.split())
    assert highest > before + 300
    assert highest_again < highest + 100, "it does not grow"
    # Where it computes with AVX2, OpenVINO 2026.4 keeps most of it until the engine itself is dropped.
    if cpu_has("avx512f"):
        assert after < before + 100, done.stderr


def test_a_failure_of_the_engine_is_not_remembered(rendering: CompiledGraph) -> None:
    """OpenVINO itself goes on failing at requests that are good."""
    probability = np.zeros((1, 224, 224), np.float32)
    with pytest.raises(RuntimeError):
        rendering.infer({"probability": probability, "CANVAS": np.zeros((1, 64, 64, 1), np.uint8)})
    good = {"probability": probability, "CANVAS": np.full((1, 65, 63), 9, np.uint8)}
    assert (rendering.infer(good)["INFECTION_MAP"] == 9).all()


def test_answers_that_need_no_copy_are_none(
    rendering: CompiledGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server copies an answer itself before it asks again; of a large request memory is given back."""
    inputs = {
        "probability": np.zeros((1, 224, 224), np.float32),
        "CANVAS": np.full((1, 64, 64), 7, np.uint8),
    }
    pipeline = Pipeline([rendering])

    def painted(*, copied: bool) -> Any:
        return pipeline.infer(inputs, ["INFECTION_MAP"], copied=copied)["INFECTION_MAP"]

    in_place = painted(copied=False)
    assert np.shares_memory(in_place, painted(copied=False))
    assert not np.shares_memory(in_place, painted(copied=True))
    monkeypatch.setattr("infmap_kit.triton.python_model.USUAL_BYTES", 100)
    large = painted(copied=False)
    assert not np.shares_memory(large, rendering.infer(inputs)["INFECTION_MAP"])
    assert (large == 7).all()


def test_answers_are_not_overwritten_by_the_next(tmp_path: Path) -> None:
    onnx.save(detection_graph(), tmp_path / "detection.onnx")
    pipeline = Pipeline([CompiledGraph(tmp_path / "detection.onnx", precision="f32", threads=1)])
    first = pipeline.infer({"probability": np.ones((1, 224, 224), np.float32)}, ["SEVERITY"])
    pipeline.infer({"probability": np.zeros((1, 224, 224), np.float32)}, ["SEVERITY"])
    assert first["SEVERITY"].tolist() == [100.0]
