"""The distance that is served against SciPy's and scikit-learn's; and the run folder that brings it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from sklearn.decomposition import PCA

from familiar_network import CHANNELS, chests, familiar_network, familiar_run, noise
from infmap_kit.errors import ExportError
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.runners import ReferenceRunner
from infmap_kit.graphs.familiarity import (
    Gaussian,
    deepest_features,
    familiarity_graph,
    with_features,
)
from infmap_kit.graphs.preparation import prepare_segmentation
from infmap_kit.model.run_folder import CALIBRATION
from infmap_kit.release.publish import reference_runner
from infmap_kit.release.source import read_source
from small_network import deeper_network, small_run


def test_the_distance_is_scikit_learns_and_scipys() -> None:
    """scikit-learn's PCA has Tipping and Bishop's covariance; SciPy measures with its inverse."""
    rng = np.random.default_rng(5)
    features = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 10)) + rng.normal(size=(200, 10)) / 5
    far = np.concatenate([features[:20], 5 * rng.normal(size=(20, 10))]).astype(np.float32)
    pca = PCA(4, svd_solver="full").fit(features)
    rounding = 0.1**2 * (features**2).mean() * np.eye(10)
    inverse = np.linalg.inv(pca.get_covariance() + rounding)
    expected = np.array([mahalanobis(row, pca.mean_, inverse) for row in far])
    gaussian = Gaussian.fit(features, 4, rounding=0.1)
    np.testing.assert_allclose(gaussian.distance(far), expected, rtol=1e-6)
    served = OnnxRuntimeEngine(familiarity_graph(gaussian, 3.0).SerializeToString())
    value = served.run({"features": far}, ["FAMILIARITY"])["FAMILIARITY"]
    np.testing.assert_allclose(value, 1 - expected / 3, rtol=1e-4, atol=1e-5)
    assert (value[:20] > value[20:]).mean() > 0.9


def test_features_are_the_means_of_what_the_encoder_gives() -> None:
    graph = prepare_segmentation(familiar_network())
    assert deepest_features(graph) == "encoded"
    shown = with_features(graph, "encoded")
    picture = chests(1)
    engine = OnnxRuntimeEngine(shown.SerializeToString())
    features = engine.run({"IMAGE": picture}, ["features"])["features"]
    filters = next(t for t in graph.graph.initializer if t.name == "filters")
    weights = np.frombuffer(filters.raw_data, np.float32).reshape(CHANNELS, 5, 5)
    padded = np.pad(picture[0] / 255.0, 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))[::4, ::4]
    expected = np.maximum(np.einsum("ijab,cab->cij", windows, weights), 0).mean(axis=(1, 2))
    np.testing.assert_allclose(features[0], expected, atol=1e-5)


def test_a_network_without_an_encoder_says_so() -> None:
    with pytest.raises(ExportError, match="enlarges what its encoder gives"):
        deepest_features(prepare_segmentation(deeper_network()))
    with pytest.raises(ExportError, match="no-such"):
        with_features(prepare_segmentation(familiar_network()), "no-such")


def test_a_run_brings_its_familiarity(tmp_path: Path) -> None:
    source = read_source(familiar_run(tmp_path / "run"))
    assert source.contract.parts == ("familiarity",)
    runner = reference_runner(source)
    chest, other = (runner.predict("", one) for one in (chests(1, first=7)[0], noise()))
    assert chest.familiarity is not None
    assert other.familiarity is not None
    assert chest.familiarity > 0.2
    assert other.familiarity < -1
    assert not chest.warnings
    assert [warning.code for warning in other.warnings] == ["unfamiliar"]
    assert other.as_json()["familiarity"] == pytest.approx(other.familiarity, abs=1e-4)


def test_a_run_without_it_is_as_before(tmp_path: Path) -> None:
    source = read_source(small_run(tmp_path / "run", familiar_network()))
    assert source.contract.parts == ()
    assert [value.name for value in source.segmentation.graph.output] == ["probability"]
    answer = reference_runner(source).predict("", noise())
    assert answer.familiarity is None
    assert "familiarity" not in answer.as_json()


def test_it_is_of_the_network_before_its_temperature(tmp_path: Path) -> None:
    run = familiar_run(tmp_path / "run")
    (run / CALIBRATION).write_text('{"temperature": 2.5, "spec_version": "7"}')
    source, picture = read_source(run), chests(1, first=7)[0]
    calibrated = ReferenceRunner(
        OnnxRuntimeEngine(source.segmentation.SerializeToString()),
        parts={"familiarity": OnnxRuntimeEngine(source.parts["familiarity"].SerializeToString())},
    )
    by_graph, by_formula = (r.predict("", picture) for r in (calibrated, reference_runner(source)))
    assert by_graph.familiarity == by_formula.familiarity
    assert np.abs(by_graph.probability - by_formula.probability).max() < 1e-5


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"spec_version": "6"}, "made for version '6', and this run is '7'"),
        ({"graph_sha256": "0" * 64}, "is not the graph that"),
        ({"tensor": "gone"}, "expected a tensor 'gone'"),
        ({"tensor": "logit"}, "expected 1 features"),
    ],
)
def test_what_does_not_belong_to_the_run_is_refused(
    tmp_path: Path, document: dict[str, object], message: str
) -> None:
    run = familiar_run(tmp_path / "run", **document)
    with pytest.raises(ExportError, match=message):
        read_source(run)
