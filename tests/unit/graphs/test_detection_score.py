"""The score that is served against its definition in plain NumPy, and the run folder that brings it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

from infmap_kit.errors import ExportError, SpecError
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.graphs.detection_score import PIXELS, detection_score_graph, score_of
from infmap_kit.model.files import sha256_of
from infmap_kit.model.precision import Precision
from infmap_kit.model.run_folder import CALIBRATION, DETECTION_SCORE, DETECTION_SCORE_GRAPH
from infmap_kit.release.bundle import read_bundle, write_bundle
from infmap_kit.release.export import publish
from infmap_kit.release.publish import reference_runner
from infmap_kit.release.source import read_source
from infmap_kit.results.infer import InferenceRun
from infmap_kit.serving.in_process import open_repository
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions
from infmap_kit.targets.target import TargetOptions
from small_network import small_network, small_run

POINTS = {"at_95_sensitivity": 0.01, "at_95_specificity": 0.9}


def scored_run(folder: Path, *, rule: str = "mean", **document: Any) -> Path:
    """A run folder with a detection score; ``document`` changes what its JSON says."""
    run = small_run(folder, small_network(bias=-3.0, contrast=6.0))
    onnx.save(detection_score_graph(rule), run / DETECTION_SCORE_GRAPH)
    stated = {
        "rule": rule,
        "operating_points": POINTS,
        "temperature": 1.0,
        "spec_version": "7",
        "graph_sha256": sha256_of(run / DETECTION_SCORE_GRAPH),
    }
    (run / DETECTION_SCORE).write_text(json.dumps({**stated, **document}))
    return run


@pytest.mark.parametrize("rule", PIXELS)
def test_the_graph_is_the_definition(rule: str) -> None:
    probability = np.random.default_rng(1).random((3, 224, 224)).astype(np.float32) ** 8
    engine = OnnxRuntimeEngine(detection_score_graph(rule).SerializeToString())
    served = engine.run({"probability": probability}, ["DETECTION_SCORE"])["DETECTION_SCORE"]
    largest = np.sort(probability.reshape(3, -1), axis=1)[:, ::-1]
    expected = largest[:, : {"mean": 224 * 224, "top 200": 200, "top 2000": 2000}[rule]]
    np.testing.assert_allclose(served, expected.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(score_of(probability, rule), expected.mean(axis=1), rtol=1e-5)


def test_an_unknown_rule_is_named() -> None:
    with pytest.raises(SpecError, match="expected a rule of mean, top 200, top 2000"):
        detection_score_graph("median")


@pytest.mark.parametrize(
    "options",
    [EmbeddedOptions(precision=Precision.INT8), OnnxruntimeOptions(gpu=False, batches=(1, 3))],
    ids=["embedded", "onnxruntime"],
)
def test_it_is_served_and_stands_in_the_json(tmp_path: Path, options: TargetOptions) -> None:
    run = scored_run(tmp_path / "run", rule="top 200")
    pictures = synthetic_pictures()[:2]
    manifest, gate = publish(read_source(run), tmp_path / "r", options, pictures=pictures)
    assert manifest.gate["detection_score"]["largest_error"] <= 0.03
    assert len(gate.part("detection_score")) == 2
    cv2.imwrite(str(tmp_path / "chest.png"), pictures[0][1])
    with open_repository(tmp_path / "r") as model:
        (outcome,) = InferenceRun([tmp_path / "chest.png"], tmp_path / "out", model)
        probability = model.infer(pictures[0][1], outputs=["PROBABILITY"])["PROBABILITY"]
    score = outcome.document["detection_score"]
    expected = float(np.sort(probability.ravel())[-200:].mean())
    assert score["value"] == pytest.approx(expected, abs=1e-3)
    assert score["rule"] == "top 200"
    assert score["reaches_95_percent_sensitivity"] is (expected >= 0.01)
    assert score["reaches_95_percent_specificity"] is (expected >= 0.9)
    assert outcome.document["detected"] is bool((probability >= 0.5).any()), "the paper's rule"


def test_it_is_of_calibrated_probabilities(tmp_path: Path) -> None:
    run = scored_run(tmp_path / "run", temperature=2.5)
    with pytest.raises(
        ExportError, match="expected .* made at the run's temperature, 1, found 2.5"
    ):
        read_source(run)
    (run / CALIBRATION).write_text('{"temperature": 2.5, "spec_version": "7"}')
    source, (name, picture) = read_source(run), synthetic_pictures()[0]
    answer = reference_runner(source).predict(name, picture)
    assert answer.detection_score == pytest.approx(float(answer.probability.mean()), rel=1e-4)
    publish(source, tmp_path / "r", EmbeddedOptions(), pictures=synthetic_pictures()[:1])


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"spec_version": "6"}, "made for version '6'"),
        ({"graph_sha256": ""}, "is not the graph that"),
        ({"operating_points": [0.1]}, "expected operating_points"),
        ({"operating_points": {**POINTS, "at_95_sensitivity": 3}}, "a number of 0 to 1, found '3'"),
        ({"operating_points": {}}, "found 'None'"),
    ],
)
def test_what_does_not_fit_is_refused(
    tmp_path: Path, document: dict[str, Any], message: str
) -> None:
    with pytest.raises((ExportError, SpecError), match=message):
        read_source(scored_run(tmp_path / "run", **document))


def test_a_bundle_carries_it(tmp_path: Path) -> None:
    pictures = synthetic_pictures()[:2]
    run = scored_run(tmp_path / "run")
    write_bundle(run, tmp_path / "a.bundle", pictures=pictures)
    bundle = read_bundle(tmp_path / "a.bundle")
    assert bundle.source.identity["detection_score"]["score_at_95_specificity"] == "0.9"
    own = reference_runner(read_source(run))
    for (name, picture), (_, original) in zip(bundle.pictures, pictures, strict=True):
        recorded = bundle.reference.predict(name, picture).detection_score
        assert recorded == own.predict("", original).detection_score
