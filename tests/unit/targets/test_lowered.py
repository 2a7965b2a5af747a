"""How much of a network is lowered for a GPU, chosen without one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from infmap_kit.errors import GateFailed, SpecError
from infmap_kit.gate.comparison import compare
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.gate.runners import ReferenceRunner
from infmap_kit.graphs.precision import qdq
from infmap_kit.graphs.precision.fp16 import fp16_graph
from infmap_kit.graphs.precision.fp16_emulation import emulated_fp16
from infmap_kit.graphs.precision.quantisation import Choice
from infmap_kit.model.precision import Precision
from infmap_kit.progress import no_progress
from infmap_kit.release.export import publish
from infmap_kit.release.publish import graphs_of, reference_runner
from infmap_kit.release.source import Source, read_source, with_parts
from infmap_kit.targets.lowered import qdq_record, quantised_networks
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions
from infmap_kit.targets.target import Proof
from infmap_kit.targets.tensorrt import TensorrtOptions
from small_network import deeper_network, small_lung_run, small_network

_FAR = """
<ir_version: 9, opset_import: ["" : 18]>
far (uint8[N, 224, 224] IMAGE) => (float[N, 224, 224] PROBABILITY)
<int64[1] channel = {{1}}>
{{
    gray = Cast <to = 1> (IMAGE)
    planes = Unsqueeze (gray, channel)
    light = Conv <pads = [1, 1, 1, 1]> (planes, blur)
    bright = {operator} (light, one)
    far = Conv (bright, one, there)
    near = Conv (far, one, back)
    logit = Conv (near, contrast, bias)
    odds = Sigmoid (logit)
    PROBABILITY = Squeeze (odds, channel)
}}
"""


def _far(*, contrast: float = 18.0, operator: str = "Mul") -> onnx.ModelProto:
    """What is brighter than the middle; in between so far from 0 that FP16 has few steps left.

    The way back is the third convolution, or with ``Conv`` as the operator the fourth of five.
    """
    model = onnx.parser.parse_model(_FAR.format(operator=operator))
    for name, values in {
        "blur": np.full((1, 1, 3, 3), 1 / 255 / 9),
        "one": np.ones((1, 1, 1, 1)),
        "there": np.array([100.0]),
        "back": np.array([-100.0]),
        "contrast": np.full((1, 1, 1, 1), contrast),
        "bias": np.array([-contrast / 2]),
    }.items():
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
    for node in model.graph.node:
        node.name = f"the_{node.output[0]}"
    return model


def _read(folder: Path, network: onnx.ModelProto) -> Source:
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(network, folder / "network.onnx")
    return read_source(folder / "network.onnx")


_FP16 = OnnxruntimeOptions(precision=Precision.FP16, batches=(1,))


def test_the_first_convolutions_stay_in_fp32_where_fp16_alone_misses_the_gate(
    tmp_path: Path,
) -> None:
    source, pictures = _read(tmp_path, _far()), synthetic_pictures()
    plain = emulated_fp16(source.segmentation, fp16_graph(source.segmentation))
    lost = ReferenceRunner(OnnxRuntimeEngine(plain.SerializeToString()))
    assert not compare(reference_runner(source), lost, pictures).passed
    manifest, gate = publish(source, tmp_path / "r", _FP16, pictures=pictures)
    assert gate.passed
    assert manifest.model["fp16"]["kept"] == ["the_light", "the_far", "the_near"]
    served = onnx.load(tmp_path / "r" / "segmentation" / "1" / "model.onnx").graph
    types = {tensor.name: tensor.data_type for tensor in served.initializer}
    last = next(node for node in served.node if node.name == "the_logit")
    assert types[last.input[1]] == onnx.TensorProto.FLOAT16


def test_nothing_stays_where_fp16_passes_and_each_network_is_chosen_for(tmp_path: Path) -> None:
    lungs = small_lung_run(tmp_path / "lungs", _far(contrast=-18.0))
    source = with_parts(_read(tmp_path / "run", small_network()), {"lungs": lungs})
    manifest, _ = publish(source, tmp_path / "r", _FP16, pictures=synthetic_pictures())
    record = manifest.model["fp16"]
    assert record["kept"] == []
    assert record["lungs"]["kept"] == ["the_light", "the_far", "the_near"]


def test_a_network_that_no_choice_helps_is_refused_with_its_own_figures(tmp_path: Path) -> None:
    # Of five convolutions three may stay, and what they give is far from 0.
    network = _far(operator="Conv")
    with pytest.raises(GateFailed, match="nothing was published"):
        publish(_read(tmp_path, network), tmp_path / "r", _FP16, pictures=synthetic_pictures())
    assert not (tmp_path / "r").exists()


def _source(folder: Path, *, contrast: float) -> Source:
    path = folder / "deeper.onnx"
    onnx.save(deeper_network(contrast=contrast), path)
    return read_source(path)


def _quantised(source: Source) -> dict[str, qdq.QdqGraph]:
    proof = Proof(reference=reference_runner(source), pictures=synthetic_pictures())
    return quantised_networks(graphs_of(source), proof, None, no_progress)


def test_no_more_than_the_first_convolution_stays_where_that_is_enough(tmp_path: Path) -> None:
    quantised = _quantised(_source(tmp_path, contrast=18.0))
    (name,) = quantised
    assert name == "segmentation"
    record = qdq_record(quantised)["int8"]
    assert len(record["kept"]) == 1
    assert record["kept_because"].startswith("the first convolution reads the picture")
    assert (record["quantised"], record["rest"], record["calibration_pictures"]) == (2, "fp32", 8)


def test_more_stay_until_the_gate_is_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = _source(tmp_path, contrast=1000.0)
    only_the_first = (Choice(first=1),)
    monkeypatch.setattr(qdq, "CHOICES", only_the_first)
    with pytest.raises(
        GateFailed, match="segmentation is not equivalent in INT8.*--precision fp16"
    ):
        _quantised(source)
    monkeypatch.setattr(qdq, "CHOICES", (*only_the_first, Choice(first=0, last=2)))
    assert len(_quantised(source)["segmentation"].kept) == 2


def test_options_say_where_int8_is_and_what_is_calibrated() -> None:
    radiographs = Path("radiographs")
    options = TensorrtOptions(precision=Precision.INT8, calibration_images=radiographs)
    assert options.calibration_images == radiographs
    # Without a precision this target is in FP16.
    for precision in (Precision.FP16, None):
        with pytest.raises(SpecError, match="int8 is calibrated, and precision is fp16"):
            TensorrtOptions(precision=precision, calibration_images=radiographs)
    with pytest.raises(SpecError, match="one of fp32, fp16 for target onnxruntime, found"):
        OnnxruntimeOptions(precision=Precision.INT8)
