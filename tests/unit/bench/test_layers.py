"""The account of a compiled graph names each layer that is computed, and nothing else."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from infmap_kit.bench.layers import layers_of, layers_table, measure_layers
from infmap_kit.errors import SpecError
from infmap_kit.gate.engines import OpenvinoEngine
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions
from small_network import small_network


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "small.onnx"
    onnx.save(small_network(), path)
    return path


def test_convolutions_are_those_that_the_engine_itself_reports(
    network: Path, tmp_path: Path
) -> None:
    publish(
        read_source(network), tmp_path / "repository", EmbeddedOptions(), pictures=synthetic_pictures()[:2],
    )  # fmt: skip
    layers = measure_layers(tmp_path / "repository", requests=5)
    engine = OpenvinoEngine(tmp_path / "repository" / "infmap" / "1" / "segmentation.onnx")
    assert {
        one.name: one.precision for one in layers if "Convolution" in one.kind
    } == engine.convolutions()
    assert all(one.kind not in ("Parameter", "Result", "Input", "Output") for one in layers)
    assert sum(one.ms for one in layers) > 0
    rows = {(row[0], row[1]): row for row in layers_table(layers).rows}
    for (kind, precision), row in rows.items():
        same = [one for one in layers if (one.kind, one.precision) == (kind, precision)]
        assert int(row[2]) == len(same)


def test_a_layer_more_in_the_graph_is_counted(network: Path, tmp_path: Path) -> None:
    """A sum over columns, which no kernel fuses with another."""
    graph = onnx.load(network)
    output = graph.graph.output[0].name
    for node in graph.graph.node:
        node.output[:] = ["before" if name == output else name for name in node.output]
    graph.graph.initializer.append(
        onnx.helper.make_tensor("columns", onnx.TensorProto.INT64, (), [2])
    )
    graph.graph.node.append(onnx.helper.make_node("CumSum", ["before", "columns"], [output]))
    onnx.save(graph, tmp_path / "summed.onnx")
    kinds = [
        [layer.kind for layer in layers_of(OpenvinoEngine(path), requests=1)]
        for path in (network, tmp_path / "summed.onnx")
    ]
    assert [one.count("CumSum") for one in kinds] == [0, 1]


def test_another_library_has_no_account(network: Path, tmp_path: Path) -> None:
    options = OnnxruntimeOptions(gpu=False, batches=(1,))
    publish(
        read_source(network), tmp_path / "repository", options, pictures=synthetic_pictures()[:1]
    )
    with pytest.raises(SpecError, match="found target onnxruntime"):
        measure_layers(tmp_path / "repository")
