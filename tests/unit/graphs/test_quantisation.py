"""INT8: calibrated, gated with a bound of its own, and honest about what stayed in FP32."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnx.parser
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

pytest.importorskip("nncf", reason="needs infmap-kit[int8]")

from cpu_features import cpu_has
from infmap_kit.answer.answer import Answer
from infmap_kit.bench.layers import layers_of
from infmap_kit.errors import GateFailed, MissingDependency
from infmap_kit.gate.engines import OnnxRuntimeEngine, OpenvinoEngine
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.graphs.precision import quantisation
from infmap_kit.graphs.precision.quantisation import Choice
from infmap_kit.model.precision import Precision
from infmap_kit.release.export import publish
from infmap_kit.release.publish import reference_runner
from infmap_kit.release.source import Source, read_source
from infmap_kit.targets import candidates
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.triton.repository import check_repository, version_folder
from small_network import small_network


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    path = tmp_path_factory.mktemp("small") / "small.onnx"
    onnx.save(small_network(), path)
    return read_source(path)


def test_a_quantised_engine_computes_in_8_bits_and_nearly_the_same(
    source: Source, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = synthetic_pictures()
    written = quantisation.quantise(source.segmentation, tmp_path / "small.xml", pictures)
    assert written.kept == ()
    assert capsys.readouterr().out == "", "standard output is for results"
    engine = OpenvinoEngine(written.path, precision="f32")
    assert set(engine.precisions()) <= {"u8", "i8"}
    reference = OnnxRuntimeEngine(source.segmentation.SerializeToString())
    picture = pictures[0][1][np.newaxis]
    difference = np.abs(engine.infer(picture) - reference.infer(picture)).max()
    assert 0 < difference < 0.1, "as exact as FP32 would mean that nothing was quantised"


def test_what_is_kept_stays_in_fp32(source: Source, tmp_path: Path) -> None:
    written = quantisation.quantise(
        source.segmentation, tmp_path / "small.xml", synthetic_pictures(), choice=Choice(last=1)
    )
    assert len(written.kept) == 1
    assert OpenvinoEngine(written.path, precision="f32").precisions() == {"f32": 1}


def _with_depthwise() -> onnx.ModelProto:
    """A filter of its own for each of eight channels, between two 1x1 convolutions."""
    model = onnx.parser.parse_model("""
        <ir_version: 9, opset_import: ["" : 18]>
        deep (uint8[N, 224, 224] IMAGE) => (float[N, 224, 224] PROBABILITY)
        <float scale = {0.00392156862745098}, int64[1] channel = {1}>
        {
            gray = Cast <to = 1> (IMAGE)
            scaled = Mul (gray, scale)
            planes = Unsqueeze (scaled, channel)
            wide = Conv (planes, widening)
            bent = Relu (wide)
            filtered = Conv <group = 8, pads = [1, 1, 1, 1]> (bent, filters)
            bent_again = Relu (filtered)
            logit = Conv (bent_again, narrowing)
            odds = Sigmoid (logit)
            PROBABILITY = Squeeze (odds, channel)
        }
    """)
    drawn = np.random.default_rng(0)
    shapes = {"widening": (8, 1, 1, 1), "filters": (8, 1, 3, 3), "narrowing": (1, 8, 1, 1)}
    model.graph.initializer.extend(
        numpy_helper.from_array(drawn.normal(size=shape).astype(np.float32), name)
        for name, shape in shapes.items()
    )
    return model


def test_depthwise_convolutions_compute_in_8_bits_or_are_left(tmp_path: Path) -> None:
    """Of NNCF's scales for each column of a filter OpenVINO makes none, and computes in FP32."""
    onnx.save(_with_depthwise(), tmp_path / "deep.onnx")
    graph = read_source(tmp_path / "deep.onnx").segmentation
    pictures = synthetic_pictures()
    written = quantisation.quantise(graph, tmp_path / "deep.xml", pictures)
    engine = OpenvinoEngine(written.path, precision="f32")
    assert engine.precisions().keys() <= {"u8", "i8"}
    assert sum(engine.precisions().values()) == 3
    assert not [layer for layer in layers_of(engine, requests=1) if layer.kind == "Reorder"]
    reference = OnnxRuntimeEngine(graph.SerializeToString())
    picture = pictures[0][1][np.newaxis]
    assert np.abs(engine.infer(picture) - reference.infer(picture)).max() < 0.1


def test_means_are_corrected_only_where_there_are_depthwise_convolutions(source: Source) -> None:
    assert not any(one.corrected for one in quantisation.choices_for(source.segmentation))
    assert any(one.corrected for one in quantisation.choices_for(_with_depthwise()))


def test_the_picture_itself_is_not_rounded(source: Source, tmp_path: Path) -> None:
    """With every convolution in FP32 the network is the one that it was, to the last bits."""
    count = sum(node.op_type == "Conv" for node in source.segmentation.graph.node)
    pictures = synthetic_pictures()
    written = quantisation.quantise(
        source.segmentation, tmp_path / "same.xml", pictures, choice=Choice(first=count)
    )
    assert len(written.kept) == count
    reference = OnnxRuntimeEngine(source.segmentation.SerializeToString())
    engine = OpenvinoEngine(written.path, precision="f32")
    for _, picture in pictures:
        expected = reference.infer(picture[np.newaxis])
        np.testing.assert_allclose(engine.infer(picture[np.newaxis]), expected, atol=1e-5)


def test_the_demo_model_is_published_in_int8(demo_model: Path, tmp_path: Path) -> None:
    if not demo_model.is_dir():
        pytest.skip("needs the demo model (training/demo_model), which is not here")
    repository = tmp_path / "model_repository"
    options = EmbeddedOptions(precision=Precision.INT8)
    manifest, gate = publish(
        read_source(demo_model), repository, options, pictures=synthetic_pictures()
    )
    assert gate.dice >= 0.99
    assert manifest.model["int8"]["rest"] == "fp32"
    # Without VNNI weights have seven bits, and more stay in FP32: 37 were seen.
    least = 45 if cpu_has("vnni") else 30
    assert manifest.model["int8"]["quantised"] >= least, "of 61 convolutions"


def test_int8_is_published_with_what_it_was_made_from(source: Source, tmp_path: Path) -> None:
    repository, radiographs = tmp_path / "model_repository", tmp_path / "radiographs"
    radiographs.mkdir()
    for name, picture in synthetic_pictures()[:3]:
        cv2.imwrite(str(radiographs / f"{name}.png"), picture)
    manifest, gate = publish(
        source,
        repository,
        EmbeddedOptions(precision=Precision.INT8, calibration_images=radiographs),
        pictures=synthetic_pictures(),
    )
    assert check_repository(repository) == manifest
    assert manifest.precision == "int8"
    assert gate.thresholds.min_dice == 0.99
    assert manifest.model["int8"]["calibration_pictures"] == 3
    files = {path.name for path in version_folder(repository, "infmap", 1).iterdir()}
    # The FP32 graph stays beside it: whoever verifies later needs the reference.
    assert {"segmentation.xml", "segmentation.bin", "segmentation.onnx"} <= files


def test_layers_stay_until_the_gate_is_passed(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A quantisation that ruins the network unless its last layer stays."""
    real = quantisation.quantise

    def ruining(segmentation: onnx.ModelProto, *args: object, choice: Choice) -> object:
        network = segmentation
        if not choice.last:
            network = read_source_of(small_network(bias=-14.0), tmp_path)
        return real(network, *args, choice=choice)  # type: ignore[arg-type]

    monkeypatch.setattr(quantisation, "quantise", ruining)
    manifest, _ = publish(
        source,
        tmp_path / "model_repository",
        EmbeddedOptions(precision=Precision.INT8),
        pictures=synthetic_pictures(),
    )
    assert len(manifest.model["int8"]["kept"]) == 1


def read_source_of(model: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    onnx.save(model, folder / "ruined.onnx")
    return read_source(folder / "ruined.onnx").segmentation


def _as_files(folder: Path) -> Path:
    folder.mkdir()
    for name, picture in synthetic_pictures():
        cv2.imwrite(str(folder / f"{name}.png"), picture)
    return folder


def test_auto_takes_the_fastest_that_passes_and_names_the_others(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {"f32": 5.0, "bf16": 3.0, "int8": 1.0}

    def p50(engines: Sequence[OpenvinoEngine], _pictures: object) -> float:
        kinds = set(engines[0].precisions())
        return times["int8" if kinds & {"u8", "i8"} else kinds.pop()]

    monkeypatch.setattr(candidates, "_p50_ms", p50)
    repository = tmp_path / "model_repository"
    # FP32 is the fastest in a second choice, and radiographs to calibrate INT8 by are given all the same.
    options = EmbeddedOptions(
        precision=None, calibration_images=_as_files(tmp_path / "calibration")
    )
    slow = {"f32": 0.5, "bf16": 3.0, "int8": 1.0}
    with monkeypatch.context() as patched:
        patched.setattr(
            candidates, "_p50_ms", lambda e, _: slow.get(next(iter(e[0].precisions())), 1)
        )
        other, _ = publish(source, tmp_path / "other", options, pictures=synthetic_pictures())
    assert other.precision == "fp32"
    manifest, gate = publish(source, repository, options, pictures=synthetic_pictures())
    assert gate.passed
    tried = {one["precision"]: one for one in manifest.model["candidates"]}
    assert tried.keys() == {"fp32", "bf16", "int8"}
    passed = [one for one in tried.values() if one.get("passed")]
    assert manifest.precision == min(passed, key=lambda one: float(one["p50_ms"]))["precision"]
    assert tried["fp32"]["dice"] == pytest.approx(1, abs=1e-3)


def test_auto_leaves_int8_out_where_only_synthetic_radiographs_would_prove_it(
    source: Source, tmp_path: Path
) -> None:
    options = EmbeddedOptions(precision=None)
    manifest, _ = publish(source, tmp_path / "one", options, pictures=synthetic_pictures())
    tried = {one["precision"]: one for one in manifest.model["candidates"]}
    assert "--calibration-images" in tried["int8"]["not_built"]
    # Radiographs of the gate's own will do, and so will some to calibrate by.
    real = [("chest.png", synthetic_pictures()[0][1]), *synthetic_pictures()]
    manifest, _ = publish(source, tmp_path / "two", options, pictures=real)
    assert "dice" in {one["precision"]: one for one in manifest.model["candidates"]}["int8"]


def test_auto_without_nncf_says_so_and_goes_on(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    manifest, _ = publish(
        source,
        tmp_path / "repository",
        EmbeddedOptions(precision=None, calibration_images=_as_files(tmp_path / "calibration")),
        pictures=synthetic_pictures(),
    )
    assert manifest.precision in ("fp32", "bf16")
    (int8,) = (one for one in manifest.model["candidates"] if one["precision"] == "int8")
    assert "infmap-kit[int8]" in int8["not_built"]
    folder = version_folder(tmp_path / "repository", "infmap", 1)
    assert not list(folder.glob("segmentation.xml"))
    with pytest.raises(MissingDependency):
        publish(
            source,
            tmp_path / "other",
            EmbeddedOptions(precision=Precision.INT8),
            pictures=synthetic_pictures(),
        )


def test_auto_publishes_nothing_when_nothing_passes(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from infmap_kit.release.publish import reference_runner

    other = read_source_of(small_network(bias=-14.0), tmp_path)
    runner = reference_runner(Source(segmentation=other, identity=source.identity))
    with pytest.raises(GateFailed, match="no precision passes"):
        publish(
            source,
            tmp_path / "repository",
            EmbeddedOptions(precision=None),
            pictures=synthetic_pictures(),
            reference=runner,
        )
    assert not (tmp_path / "repository").exists()


def test_nobody_is_told_that_nncf_was_used() -> None:
    """NNCF's telemetry is off before it is imported."""
    script = (
        "from infmap_kit.graphs.precision.quantisation import _nncf\n_nncf()\n"
        "from nncf.telemetry.wrapper import telemetry\nprint(type(telemetry).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() not in ("NNCFTelemetry", "")


class _Counting:
    """Counts what the reference is asked."""

    def __init__(self, source: Source) -> None:
        self._runner = reference_runner(source)
        self.asked = 0

    def predict(self, name: str, picture: NDArray[np.uint8]) -> Answer:
        self.asked += 1
        return self._runner.predict(name, picture)


def test_the_reference_is_asked_once_of_each_picture(source: Source, tmp_path: Path) -> None:
    reference = _Counting(source)
    pictures = synthetic_pictures()
    publish(
        source,
        tmp_path / "repository",
        EmbeddedOptions(precision=Precision.INT8),
        pictures=pictures,
        reference=reference,
    )
    assert reference.asked == len(pictures)
