"""Engines are proved in requests of several pictures too: a graph may mix them, or take only one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest

from infmap_kit.errors import GateFailed
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions
from infmap_kit.targets.openvino import OpenvinoOptions
from infmap_kit.targets.target import TargetOptions
from small_network import small_network

OPTIONS = [
    EmbeddedOptions(threads=1),
    OnnxruntimeOptions(gpu=False, batches=(1, 3)),
    OpenvinoOptions(batches=(1, 4)),
]


def _with(folder: Path, *lines: str) -> Path:
    """The small network with some nodes before its first Resize, which makes ``changed`` of ``planes``."""
    graph = small_network()
    index = next(i for i, node in enumerate(graph.graph.node) if node.output[0] == "smaller")
    graph.graph.node[index].input[0] = "changed"
    for line in reversed(lines):
        graph.graph.node.insert(index, onnx.parser.parse_node(line))
    onnx.save(graph, folder / "small.onnx")
    return folder / "small.onnx"


ONE_ONLY = (
    "one = Constant <value_ints = [1, 1, 224, 224]> ()",
    "changed = Reshape (planes, one)",
)
MIXING = (
    "first = Constant <value_ints = [0]> ()",
    "two = Constant <value_float = 2.0> ()",
    "most = ReduceMax <keepdims = 1> (planes, first)",
    "sum = Add (planes, most)",
    "changed = Div (sum, two)",
)
"""Alone, each picture is answered rightly, as with a batch norm that was left in training mode."""


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: options.target)
def test_a_batch_that_is_a_constant_stops_the_export(
    options: TargetOptions, tmp_path: Path
) -> None:
    source = read_source(_with(tmp_path, *ONE_ONLY))
    with pytest.raises(GateFailed, match=r"does not answer a request of \d pictures.*constant"):
        publish(source, tmp_path / "r", options, pictures=synthetic_pictures()[:3])
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: options.target)
def test_a_graph_that_mixes_its_pictures_stops_the_export(
    options: TargetOptions, tmp_path: Path
) -> None:
    source = read_source(_with(tmp_path, *MIXING))
    with pytest.raises(GateFailed, match=r"in requests of \d pictures .*nothing was published"):
        publish(source, tmp_path / "r", options, pictures=synthetic_pictures()[:4])
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: options.target)
def test_what_was_proved_of_each_batch_stands_in_the_manifest(
    options: TargetOptions, tmp_path: Path
) -> None:
    onnx.save(small_network(), tmp_path / "small.onnx")
    manifest, _ = publish(
        read_source(tmp_path / "small.onnx"),
        tmp_path / "r",
        options,
        pictures=synthetic_pictures()[:3],
    )
    batches = manifest.gate["batches"]
    expected = {"2"} if options.target == "embedded" else {str(options.batches[1])}  # type: ignore[attr-defined]
    assert set(batches) == expected
    assert all(proof["flips"] == 0 and proof["dice"] == 1 for proof in batches.values())
    assert all(np.isfinite(proof["largest_error"]) for proof in batches.values())
