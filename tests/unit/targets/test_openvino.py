"""What Triton's OpenVINO backend asks of a repository, as it was found when it was run.

Each of these kept a repository from loading, or made it answer wrongly, on the backends of 24.10 and 26.09,
which are not here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.graphs.preparation import prepare_segmentation
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.targets.openvino import OpenvinoOptions
from infmap_kit.triton.config import parse_config
from small_network import small_network, small_run

OPENVINO = pytest.importorskip("openvino")


def _with_idle_slice(ends: tuple[int, int] = (1_000_000_000, 1_000_000_000)) -> onnx.ModelProto:
    """The small network with the Slice that tf2onnx leaves behind a picture's last dimension."""
    graph = small_network()
    index = next(i for i, node in enumerate(graph.graph.node) if node.output[0] == "smaller")
    graph.graph.node[index].input[0] = "whole"
    values = {"starts": (0, 0), "ends": ends, "axes": (0, 3), "steps": (1, 1)}
    for name, value in values.items():
        tensor = numpy_helper.from_array(np.array(value, np.int32), name)
        graph.graph.initializer.append(tensor)
    slicing = onnx.parser.parse_node("whole = Slice (planes, starts, ends, axes, steps)")
    graph.graph.node.insert(index, slicing)
    return graph


def _published(tmp_path: Path) -> Path:
    onnx.save(_with_idle_slice(), tmp_path / "network.onnx")
    publish(
        read_source(small_run(tmp_path / "run", _with_idle_slice())),
        tmp_path / "r",
        OpenvinoOptions(batches=(1, 4)),
        pictures=synthetic_pictures()[:3],
    )
    return tmp_path / "r"


def test_every_dimension_is_as_open_as_its_config_says(tmp_path: Path) -> None:
    """The backend refuses -1 for a dimension whose upper bound OpenVINO has inferred."""
    repository = _published(tmp_path)
    for name in ("segmentation", "detection", "rendering"):
        config = parse_config((repository / name / "config.pbtxt").read_text())
        compiled = OPENVINO.Core().read_model(repository / name / "1" / "model.onnx")
        ports = {port.get_any_name(): port for port in (*compiled.inputs, *compiled.outputs)}
        for tensor in (*config.input, *config.output):
            shape = ports[tensor.name].get_partial_shape()
            for wanted, dimension in zip(tensor.dims, shape, strict=True):
                assert (wanted == -1) == dimension.is_dynamic, tensor.name
                if wanted == -1:
                    assert dimension.get_max_length() == -1, f"{tensor.name} ends at {dimension}"


def test_no_two_outputs_or_inputs_are_one_tensor(tmp_path: Path) -> None:
    """OpenVINO gives an Identity's two ends one tensor of two names, and the backend takes the wrong one."""
    repository = _published(tmp_path)
    for name in ("segmentation", "detection", "rendering"):
        model = OPENVINO.Core().read_model(repository / name / "1" / "model.onnx")
        for port in (*model.inputs, *model.outputs):
            assert len(port.get_names()) == 1


def test_a_slice_that_keeps_everything_is_taken_away_and_nothing_changes() -> None:
    prepared = prepare_segmentation(_with_idle_slice())
    assert "Slice" not in {node.op_type for node in prepared.graph.node}
    pictures = np.stack([picture for _, picture in synthetic_pictures()[:3]])
    before, after = (
        OnnxRuntimeEngine(prepare_segmentation(graph).SerializeToString()).infer(pictures)
        for graph in (small_network(), _with_idle_slice())
    )
    np.testing.assert_array_equal(after, before)


def test_a_slice_that_cuts_stays() -> None:
    cutting = prepare_segmentation(_with_idle_slice(ends=(1_000_000_000, 224)))
    assert "Slice" in {node.op_type for node in cutting.graph.node}
