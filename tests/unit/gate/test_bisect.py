"""Where FP16 leaves the reference is located, and what is proposed repairs it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from infmap_kit.errors import ExportError
from infmap_kit.gate.bisect import localise, smallest_subset
from infmap_kit.gate.comparison import compare
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.gate.runners import ReferenceRunner
from infmap_kit.graphs.precision.fp16 import fp16_graph
from infmap_kit.graphs.precision.fp16_emulation import emulated_fp16
from infmap_kit.model.precision import Precision
from infmap_kit.release.export import publish
from infmap_kit.release.publish import reference_runner
from infmap_kit.release.source import Source, read_source
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions

PICTURES = synthetic_pictures()

_TEXT = """
<ir_version: 9, opset_import: ["" : 18]>
deep (uint8[N, 224, 224] IMAGE) => (float[N, 224, 224] probability)
<int64[1] channel = {1}, float shift = {-9.0}>
{
    gray = Cast <to = 1> (IMAGE)
    planes = Unsqueeze (gray, channel)
    one = Conv <pads = [1, 1, 1, 1]> (planes, blur)
    two = Conv <pads = [1, 1, 1, 1]> (one, blur)
    large = Conv (two, thousand)
    cut = Relu (large)
    small = Conv (cut, thousandth)
    three = Conv <pads = [1, 1, 1, 1]> (small, blur)
    scaled = Conv (three, scale)
    moved = Add (scaled, shift)
    odds = Sigmoid (moved)
    probability = Squeeze (odds, channel)
}
"""


def _deep(*, factor: float) -> onnx.ModelProto:
    """Blurs that pass through values ``factor`` times as large, which FP32 does not mind."""
    model = onnx.parser.parse_model(_TEXT)
    blur = np.full((1, 1, 3, 3), 1 / 9, np.float32)
    for name, value in (
        ("blur", blur),
        ("thousand", np.full((1, 1, 1, 1), factor, np.float32)),
        ("thousandth", np.full((1, 1, 1, 1), 1 / factor, np.float32)),
        ("scale", np.full((1, 1, 1, 1), 18 / 255, np.float32)),
    ):
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    for node in model.graph.node:
        node.name = f"the_{node.output[0]}"
    return model


def _source(folder: Path, *, factor: float) -> Source:
    onnx.save(_deep(factor=factor), folder / "deep.onnx")
    return read_source(folder / "deep.onnx")


def test_a_layer_that_overflows_is_found_and_mended(tmp_path: Path) -> None:
    source = _source(tmp_path, factor=1000)
    reference = reference_runner(source)
    located = localise(source.segmentation, reference, PICTURES)
    assert not located.passes
    assert located.leaving[0].node == "the_large"
    assert located.leaving[0].relative_error == float("inf")
    # Its value lives from where it is made to where it is made small again.
    assert located.keep_fp32 is not None
    assert set(located.keep_fp32) <= {"the_large", "the_cut", "the_small"}
    options = OnnxruntimeOptions(
        precision=Precision.FP16, batches=(1,), keep_fp32=located.keep_fp32
    )
    _, gate = publish(source, tmp_path / "r", options, pictures=PICTURES, reference=reference)
    assert gate.passed
    for left_out in located.keep_fp32:
        fewer = tuple(name for name in located.keep_fp32 if name != left_out)
        halved = fp16_graph(source.segmentation, keep_fp32=fewer)
        emulated = emulated_fp16(source.segmentation, halved)
        runner = ReferenceRunner(OnnxRuntimeEngine(emulated.SerializeToString()))
        assert not compare(reference, runner, PICTURES).passed, f"{left_out} could be left out"


def test_a_graph_that_fp16_can_hold_has_nothing_to_mend(tmp_path: Path) -> None:
    source = _source(tmp_path, factor=2)
    located = localise(source.segmentation, reference_runner(source), PICTURES[:2])
    assert located.passes
    assert (located.keep_fp32, located.leaving, located.graphs_tried) == ((), (), 1)


def test_a_weight_beyond_fp16_stays_in_fp32(tmp_path: Path) -> None:
    source = _source(tmp_path, factor=1e6)
    located = localise(source.segmentation, reference_runner(source), PICTURES[:2])
    assert located.keep_fp32 is not None
    assert "the_large" in located.keep_fp32


def test_a_node_that_is_none_is_named() -> None:
    with pytest.raises(ExportError, match="no node 'nowhere' to keep"):
        fp16_graph(_deep(factor=2), keep_fp32=["nowhere"])


@settings(max_examples=60, deadline=None)
@given(st.sets(st.integers(0, 39), min_size=1, max_size=4))
def test_the_smallest_part_is_found(needed: set[int]) -> None:
    names = [str(number) for number in range(40)]
    asked = 0

    def suffices(part: Sequence[str]) -> bool:
        nonlocal asked
        asked += 1
        return {str(number) for number in needed} <= set(part)

    assert sorted(smallest_subset(names, suffices)) == sorted(str(number) for number in needed)
    assert asked < 200
