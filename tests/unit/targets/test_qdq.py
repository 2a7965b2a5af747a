"""How much of a network becomes integers on a GPU, chosen without one."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from infmap_kit.errors import GateFailed, SpecError
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.graphs.precision import qdq
from infmap_kit.graphs.precision.quantisation import Choice
from infmap_kit.model.precision import Precision
from infmap_kit.progress import no_progress
from infmap_kit.release.publish import graphs_of, reference_runner
from infmap_kit.release.source import Source, read_source
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions
from infmap_kit.targets.qdq import qdq_record, quantised_networks
from infmap_kit.targets.target import Proof
from infmap_kit.targets.tensorrt import TensorrtOptions
from small_network import deeper_network


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
