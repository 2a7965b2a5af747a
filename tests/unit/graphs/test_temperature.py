"""A run's temperature becomes part of its graph, and the reference applies it by formula."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from infmap_kit.errors import ExportError, GateFailed, SpecError
from infmap_kit.gate.comparison import compare
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.gate.runners import calibrated
from infmap_kit.graphs.preparation import prepare_segmentation
from infmap_kit.graphs.temperature import with_temperature
from infmap_kit.model.files import sha256_of
from infmap_kit.model.precision import Precision
from infmap_kit.model.run_folder import CALIBRATION
from infmap_kit.model.spec import ModelSpec
from infmap_kit.release.export import publish
from infmap_kit.release.publish import reference_runner
from infmap_kit.release.source import Source, read_source
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions
from infmap_kit.targets.target import TargetOptions
from infmap_kit.triton.config import parse_config
from small_network import small_network, small_run

PICTURES = synthetic_pictures()
# A network that is not sure of itself, so that a temperature moves its probabilities a lot.
UNSURE = small_network(bias=-3.0, contrast=6.0)


def _run(folder: Path, **calibration: object) -> Path:
    run = small_run(folder, UNSURE)
    if calibration:
        (run / CALIBRATION).write_text(json.dumps(calibration))
    return run


def _infer(source: Source) -> NDArray[np.float32]:
    images = np.stack([picture for _, picture in PICTURES])
    return OnnxRuntimeEngine(source.segmentation.SerializeToString()).infer(images)


def test_the_graphs_logit_is_divided(tmp_path: Path) -> None:
    plain = read_source(_run(tmp_path / "plain"))
    source = read_source(_run(tmp_path / "calibrated", temperature=2.5, spec_version="7"))
    before, after = _infer(plain), _infer(source)
    logit = np.log(before.astype(np.float64)) - np.log1p(-before.astype(np.float64))
    np.testing.assert_allclose(after, 1 / (1 + np.exp(-logit / 2.5)), atol=1e-6)
    assert np.abs(after - before).max() > 0.15, "a temperature that changes nothing proves nothing"
    np.testing.assert_array_equal(after >= 0.5, before >= 0.5)
    assert source.identity["temperature"] == 2.5


def test_a_real_networks_sigmoid_is_found_behind_what_a_converter_puts_there(
    demo_model: Path,
) -> None:
    # The graph alone: the run has a temperature already.
    segmentation = prepare_segmentation(onnx.load(demo_model / "segmentation.onnx"))
    images = np.stack([picture for _, picture in PICTURES[:2]])
    before = OnnxRuntimeEngine(segmentation.SerializeToString()).infer(images)
    warm = with_temperature(segmentation, 1.7)
    after = OnnxRuntimeEngine(warm.SerializeToString()).infer(images)
    np.testing.assert_allclose(after, calibrated(before, 1.7), atol=1e-4)
    assert np.abs(after - before).max() > 0.05


def test_a_run_without_a_calibration_is_as_it_was(tmp_path: Path) -> None:
    source = read_source(_run(tmp_path))
    assert source.trained is None
    assert "temperature" not in source.identity
    prepared = prepare_segmentation(onnx.load(tmp_path / "segmentation.onnx"))
    assert with_temperature(prepared, 1.0) == prepared == source.segmentation


@pytest.mark.parametrize(
    "options",
    [
        EmbeddedOptions(),
        OnnxruntimeOptions(precision=Precision.FP16, batches=(1,), gpu=False),
    ],
    ids=["embedded", "FP16"],
)
def test_what_is_published_is_calibrated_and_says_so(
    tmp_path: Path, options: TargetOptions
) -> None:
    source = read_source(_run(tmp_path / "run", temperature=2.5, spec_version="7"))
    manifest, gate = publish(source, tmp_path / "r", options, pictures=PICTURES)
    assert manifest.model["temperature"] == 2.5
    config = parse_config((tmp_path / "r" / "infmap" / "config.pbtxt").read_text())
    assert config.parameters["temperature"].string_value == "2.5"
    # Every mask and every detection is that of the network before it was calibrated.
    before = compare(
        reference_runner(read_source(_run(tmp_path / "p"))), reference_runner(source), PICTURES
    )
    assert (before.flips, before.dice) == ((), 1.0)
    assert gate.passed


def test_a_calibration_that_was_lost_on_the_way_fails_the_gate(tmp_path: Path) -> None:
    source = read_source(_run(tmp_path / "run", temperature=2.5, spec_version="7"))
    assert source.trained is not None
    lost = dataclasses.replace(source, segmentation=source.trained)
    with pytest.raises(GateFailed, match=r"99\.9 % of the probabilities within 0\.01"):
        publish(lost, tmp_path / "r", EmbeddedOptions(), pictures=PICTURES)
    assert not (tmp_path / "r").exists()


def test_the_formula_at_its_ends() -> None:
    ends = np.array([0, 1e-30, 0.25, 0.5, 1, np.nan], np.float32)
    actual = calibrated(ends, 2.0)
    expected = [0, 1e-15, 1 / (1 + 3**0.5), 0.5, 1, np.nan]
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("calibration", "reason"),
    [
        ({"temperature": 2.0, "spec_version": "6"}, "made for version '6', and this run is '7'"),
        ({"temperature": 2.0}, "made for version None"),
        ({"temperature": 0, "spec_version": "7"}, "temperature above 0 .* found 0"),
        ({"temperature": "hot", "spec_version": "7"}, "found 'hot'"),
        ({"temperature": float("nan"), "spec_version": "7"}, "NaN is no number"),
        ({"temperature": True, "spec_version": "7"}, "found True"),
        ({"spec_version": "7"}, "found None"),
    ],
)
def test_a_calibration_that_is_none_is_refused(
    tmp_path: Path, calibration: dict[str, object], reason: str
) -> None:
    with pytest.raises((ExportError, SpecError), match=reason):
        read_source(_run(tmp_path, **calibration))


def test_a_calibration_that_the_run_names_must_be_that_one(tmp_path: Path) -> None:
    run = _run(tmp_path, temperature=2.0, spec_version="7")
    spec = ModelSpec.read(run / "spec.json")
    named = dataclasses.replace(
        spec, files={**spec.files, CALIBRATION: sha256_of(run / CALIBRATION)}
    )
    named.write(run / "spec.json")
    assert read_source(run).temperature == 2
    (run / CALIBRATION).write_text(json.dumps({"temperature": 2.1, "spec_version": "7"}))
    with pytest.raises(ExportError, match="SHA-256 differs"):
        read_source(run)


def test_a_network_that_ends_in_something_else_is_said() -> None:
    model = prepare_segmentation(small_network())
    for node in model.graph.node:
        if node.op_type == "Sigmoid":
            node.op_type = "Tanh"
    with pytest.raises(ExportError, match="ends in a sigmoid.*found Tanh"):
        with_temperature(model, 2.0)
