"""A classifier beside the infection: published, proved, and refused where it does not belong."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from bundles import altered_bundle
from commands import run_command
from infmap_kit.answer.answer import Answer, classifier_of
from infmap_kit.errors import BundleError, ExportError, GateFailed
from infmap_kit.gate.comparison import GateReport, compare
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.gate.report import gate_table
from infmap_kit.host.inspection import inspect
from infmap_kit.model.precision import Precision
from infmap_kit.parts.reading import read_answer
from infmap_kit.release.bundle import read_bundle, write_bundle
from infmap_kit.release.compilation import GateOptions, compile_graphs, require_passed
from infmap_kit.release.export import publish
from infmap_kit.release.install import install_bundle
from infmap_kit.release.origin import read_origin
from infmap_kit.release.publish import graphs_of, reference_runner
from infmap_kit.release.source import Source, read_source, with_parts
from infmap_kit.release.verify import compare_repository
from infmap_kit.results.outcome import Outcome
from infmap_kit.results.tables import findings_table
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions
from infmap_kit.targets.openvino import OpenvinoOptions
from infmap_kit.targets.target import TargetOptions
from infmap_kit.triton.config import parse_config
from infmap_kit.triton.repository import check_repository
from small_network import (
    small_classifier,
    small_classifier_run,
    small_lung_run,
    small_network,
    small_run,
)

PICTURES = synthetic_pictures()[:3]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return small_run(tmp_path / "run")


@pytest.fixture
def classifier_run(tmp_path: Path) -> Path:
    return small_classifier_run(tmp_path / "classifier")


@pytest.fixture
def source(run: Path, classifier_run: Path) -> Source:
    return with_parts(read_source(run), {"classifier": classifier_run})


@pytest.mark.parametrize(
    "options",
    [
        EmbeddedOptions(),
        OnnxruntimeOptions(batches=(1, 2)),
        OnnxruntimeOptions(precision=Precision.FP16, batches=(1,)),
        OpenvinoOptions(batches=(1,)),
    ],
    ids=lambda options: f"{getattr(options, 'target', 'embedded')}-{options.precision}",
)
def test_every_target_publishes_and_verifies_a_classifier(
    source: Source, tmp_path: Path, options: TargetOptions
) -> None:
    manifest, gate = publish(source, tmp_path / "r", options, pictures=PICTURES)
    assert check_repository(tmp_path / "r") == manifest
    assert manifest.model["classifier"]["name"] == "small classifier"
    assert manifest.gate["classifier"]["flips"] == 0
    assert len(gate.part("classifier")) == len(PICTURES)
    config = parse_config((tmp_path / "r" / "infmap" / "config.pbtxt").read_text())
    assert config.parameters["classifier_version"].string_value == "8"
    assert (
        config.parameters["classifier_onnx_sha256"].string_value
        == (source.identity["classifier"]["onnx_sha256"])
    )
    assert [output.name for output in config.output][7:] == [
        "CLASSIFIER_PROBABILITY",
        "ACTIVATION_MAP",
    ]
    again = compare_repository(
        source, tmp_path / "r", reference=reference_runner(source), pictures=PICTURES
    )
    again.require()
    assert again.summary()["classifier"] == gate.summary()["classifier"]


def test_a_classifier_is_not_verified_unseen(source: Source, run: Path, tmp_path: Path) -> None:
    publish(source, tmp_path / "r", EmbeddedOptions(), pictures=PICTURES)
    alone = read_source(run)
    with pytest.raises(GateFailed, match="another classifier.*give its run as --classifier"):
        compare_repository(
            alone, tmp_path / "r", reference=reference_runner(alone), pictures=PICTURES
        )


def test_a_bundle_brings_its_classifier(
    run: Path, classifier_run: Path, source: Source, tmp_path: Path
) -> None:
    path = tmp_path / "b"
    record = write_bundle(run, path, pictures=PICTURES, parts={"classifier": classifier_run})
    write_bundle(run, tmp_path / "again", pictures=PICTURES, parts={"classifier": classifier_run})
    assert path.read_bytes() == (tmp_path / "again").read_bytes()
    assert record["classifier"] == source.identity["classifier"]
    assert inspect(path)["classifier"]["name"] == "small classifier"
    bundle = read_bundle(path)
    trained = reference_runner(source)
    for (name, picture), (_, original) in zip(bundle.pictures, PICTURES, strict=True):
        actual, expected = bundle.reference.predict(name, picture), trained.predict("", original)
        recorded, known = classifier_of(actual), classifier_of(expected)
        if recorded is None or known is None or recorded.activation is None:
            raise AssertionError("the bundle has a classifier")
        assert known.activation is not None
        assert recorded.probability == known.probability
        np.testing.assert_allclose(recorded.activation, known.activation, atol=2**-16, rtol=0)
    manifest, gate = install_bundle(path, tmp_path / "r", EmbeddedOptions(), unsigned=True)
    gate.require()
    assert len(gate.part("classifier")) == len(PICTURES)
    assert manifest.model["classifier"] == record["classifier"]
    origin = read_origin(path)
    compare_repository(
        origin.source, tmp_path / "r", reference=origin.reference, pictures=origin.pictures
    ).require()
    with pytest.raises(BundleError, match="leave --classifier out"):
        read_origin(path, parts={"classifier": classifier_run})


@pytest.mark.parametrize(
    ("content", "error", "reason"),
    [
        ("0.999", GateFailed, "classifier"),
        ("NaN", BundleError, "no readable classifier/0001.json"),
        ("2", BundleError, "expected a number of 0 to 1"),
        ("[]", BundleError, "expected a number of 0 to 1"),
        ("{", BundleError, "no readable classifier/0001.json"),
    ],
)
def test_a_bundle_whose_classifier_says_otherwise_is_not_installed(
    run: Path,
    classifier_run: Path,
    tmp_path: Path,
    content: str,
    error: type[Exception],
    reason: str,
) -> None:
    path = tmp_path / "b"
    write_bundle(run, path, pictures=PICTURES, parts={"classifier": classifier_run})
    altered = altered_bundle(
        path, lambda files: files.update({"classifier/0001.json": content.encode()})
    )
    with pytest.raises(error, match=reason):
        install_bundle(altered, tmp_path / "r", EmbeddedOptions(), unsigned=True)
    assert not (tmp_path / "r").exists()


def test_a_bundle_that_names_another_classifier_is_refused(
    run: Path, classifier_run: Path, tmp_path: Path
) -> None:
    path = tmp_path / "b"
    write_bundle(run, path, pictures=PICTURES, parts={"classifier": classifier_run})

    def rename(files: dict[str, bytes]) -> None:
        spec = json.loads(files["classifier/spec.json"])
        files["classifier/spec.json"] = json.dumps({**spec, "name": "a better one"}).encode()

    with pytest.raises(BundleError, match="names another classifier"):
        read_bundle(altered_bundle(path, rename))


def test_lungs_and_classifier_stand_side_by_side(source: Source, tmp_path: Path) -> None:
    both = with_parts(source, {"lungs": small_lung_run(tmp_path / "lungs")})
    manifest, gate = publish(both, tmp_path / "r", EmbeddedOptions(), pictures=PICTURES)
    gate.require()
    assert {"lungs", "classifier"} <= manifest.gate.keys()
    assert inspect(tmp_path / "r")["whole"]


def test_the_classifier_stays_in_fp32_where_networks_are_halved(
    source: Source, tmp_path: Path
) -> None:
    options = OnnxruntimeOptions(precision=Precision.FP16, batches=(1,))
    publish(source, tmp_path / "r", options, pictures=PICTURES)

    def kinds(name: str) -> set[int]:
        graph = onnx.load(tmp_path / "r" / name / "1" / "model.onnx").graph
        return {tensor.data_type for tensor in graph.initializer}

    assert onnx.TensorProto.FLOAT16 in kinds("segmentation")
    assert onnx.TensorProto.FLOAT16 not in kinds("classifier")


def test_it_compiles_beside_the_others(source: Source) -> None:
    pytest.importorskip("tensorrt_rtx_bindings", reason="needs infmap-kit[compile]")
    graphs = graphs_of(source)
    results = compile_graphs(graphs, GateOptions(gpus=("sm75",)))
    require_passed(results)
    assert {result.graph for result in results} == {
        "segmentation", "detection", "rendering", "summary", "classifier",
    }  # fmt: skip


def test_another_classifier_fails_the_gate(source: Source, tmp_path: Path) -> None:
    for bias, reason in (
        (-5.2, r"classifier's probability within 0\.01"),
        (-9.0, "decides otherwise"),
    ):
        other = small_classifier_run(tmp_path / f"{bias}", small_classifier(bias=bias))
        bent = with_parts(source, {"classifier": other})
        gate = compare(reference_runner(source), reference_runner(bent), PICTURES)
        with pytest.raises(GateFailed, match=reason):
            gate.require()
        # Two rows more than of the network alone, and one for what changed.
        assert len(gate_table(gate).rows) == len(gate_table(_alone(source)).rows) + 3


def _alone(source: Source) -> GateReport:
    alone = dataclasses.replace(source, parts={})
    return compare(reference_runner(alone), reference_runner(alone), PICTURES)


class _Bent:
    def __init__(self, source: Source, **changes: Any) -> None:
        self._runner, self._changes = reference_runner(source), changes

    def predict(self, name: str, picture: NDArray[np.uint8]) -> Answer:
        answer = self._runner.predict(name, picture)
        classifier = classifier_of(answer)
        if classifier is None or not self._changes:
            return dataclasses.replace(answer, parts={})
        changed = dataclasses.replace(classifier, **self._changes)
        return dataclasses.replace(answer, parts={"classifier": changed})


def test_a_map_that_is_moved_or_lost_fails_the_gate(source: Source) -> None:
    blank = np.zeros((224, 224), np.float32)
    for bent, reason in (
        (_Bent(source, activation=blank), "activation map within"),
        (_Bent(source, activation=blank * np.nan), "activation map within"),
        (_Bent(source, probability=float("nan")), "probability within"),
        (_Bent(source), "probability within"),
    ):
        with pytest.raises(GateFailed, match=reason):
            compare(reference_runner(source), bent, PICTURES).require()


def test_what_is_no_classifier_is_refused(run: Path, classifier_run: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="holds a classifier.*--classifier"):
        read_source(classifier_run)
    source = read_source(run)
    with pytest.raises(ExportError, match="holds small, which segments"):
        with_parts(source, {"classifier": run})
    with pytest.raises(ExportError, match="expected the run folder of a classifier"):
        with_parts(source, {"classifier": tmp_path})
    onnx.save(small_classifier(bias=1.0), classifier_run / "classifier.onnx")
    with pytest.raises(ExportError, match="SHA-256 differs"):
        with_parts(source, {"classifier": classifier_run})
    wrong = small_classifier_run(tmp_path / "wrong", small_network())
    with pytest.raises(ExportError, match="expected the tensors IMAGE, CLASSIFIER_PROBABILITY"):
        with_parts(source, {"classifier": wrong})


def _finding(probability: float, classifier: float | None) -> Answer:
    answer: dict[str, Any] = {
        "DETECTED": np.uint8(probability >= 0.5),
        "SEVERITY": np.float32(1),
        "PROBABILITY": np.full((224, 224), probability, np.float32),
    }
    if classifier is not None:
        answer["CLASSIFIER_PROBABILITY"] = np.float32(classifier)
    return read_answer(answer, timings_ms={"served": 1.0})


def test_a_finding_marks_where_opinions_differ() -> None:
    document = _finding(0.9, 0.25).as_json()
    assert document["classifier"] == {"detected": False, "probability": 0.25}
    assert document["opinions_agree"] is False
    assert _finding(0.9, 0.5).as_json()["opinions_agree"] is True
    assert _finding(0.1, 0.2).as_json()["opinions_agree"] is True
    # Where no classifier is served the document is as it was.
    assert not {"classifier", "opinions_agree"} & _finding(0.9, None).as_json().keys()


def test_the_table_marks_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    outcomes = [
        Outcome(source=Path("a.png"), called="a.png", document=_finding(0.9, 0.25).as_json()),
        Outcome(source=Path("b.png"), called="b.png", document=_finding(0.9, 0.75).as_json()),
    ]
    Console(width=160).print(findings_table(outcomes))
    shown = capsys.readouterr().out
    assert "≠ 0.250" in shown
    assert shown.count("≠") == 1
    Console(width=80).print(findings_table(outcomes))
    assert "a.png" in capsys.readouterr().out
    Console(width=160).print(
        findings_table([dataclasses.replace(outcomes[0], document=_finding(0.9, None).as_json())])
    )
    assert "classifier" not in capsys.readouterr().out


def _infmap_kit(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run_command("infmap-kit", *arguments)


def test_the_command_line_exports_it(run: Path, classifier_run: Path, tmp_path: Path) -> None:
    where = ("--target", "embedded", "-r", tmp_path / "r", "--report", tmp_path / "g", "--json")
    done = _infmap_kit("export", run, "--classifier", classifier_run, *where)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["manifest"]["model"]["classifier"]["version"] == "8"
    assert document["gate"]["classifier"]["flips"] == 0
    refused = _infmap_kit("export", classifier_run, *where)
    assert refused.returncode == 1
    assert "--classifier" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) <= 2
