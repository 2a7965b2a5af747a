"""An engine is held to its reference's familiarity; a release without it opens; a bundle carries it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from familiar_network import familiar_run
from infmap_kit.answer.familiarity import FamiliarityAnswer
from infmap_kit.gate.comparison import GateReport, compare
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.gate.runners import Runner
from infmap_kit.model.precision import Precision
from infmap_kit.release.bundle import read_bundle, write_bundle
from infmap_kit.release.export import publish
from infmap_kit.release.publish import reference_runner
from infmap_kit.release.source import read_source
from infmap_kit.release.verify import compare_repository
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions
from infmap_kit.targets.openvino import OpenvinoOptions
from infmap_kit.targets.target import TargetOptions

PICTURES = synthetic_pictures()[:3]


class _Familiar:
    """An answer's familiarity by its picture, whatever the network says."""

    def __init__(self, runner: Runner, value: float | None) -> None:
        self._runner, self._value = runner, value

    def predict(self, name, picture):  # type: ignore[no-untyped-def]
        answer = self._runner.predict(name, picture)
        parts = {} if self._value is None else {"familiarity": FamiliarityAnswer(value=self._value)}
        return dataclasses.replace(answer, parts=parts)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return familiar_run(tmp_path_factory.mktemp("familiar") / "run")


def _gate(run: Path, expected: float, actual: float | None) -> GateReport:
    runner = reference_runner(read_source(run))
    return compare(_Familiar(runner, expected), _Familiar(runner, actual), PICTURES)


@pytest.mark.parametrize(
    ("expected", "actual", "passes"),
    [
        (0.5, 0.5, True),
        (0.5, 0.495, True),
        (0.5, 0.45, False),
        # Far outside the order of the distance counts.
        (-30.0, -30.2, True),
        (-30.0, -31.0, False),
        # Only next to the threshold may a warning come or go.
        (0.004, -0.004, True),
        (0.4, -0.4, False),
        (0.5, float("nan"), False),
        (0.5, None, False),
    ],
)
def test_how_far_an_engine_may_be(
    run: Path, expected: float, actual: float | None, passes: bool
) -> None:
    gate = _gate(run, expected, actual)
    assert gate.passed is passes
    assert passes or "familiarit" in " ".join(gate.reasons()) or "warns" in gate.reasons()[0]


@pytest.mark.parametrize(
    "options",
    [
        EmbeddedOptions(),
        EmbeddedOptions(precision=Precision.INT8),
        OnnxruntimeOptions(gpu=False, batches=(1, 3)),
        OnnxruntimeOptions(gpu=True, precision=Precision.FP16, batches=(1, 3)),
        OpenvinoOptions(),
    ],
    ids=lambda options: f"{options.target}-{options.precision}",
)
def test_every_target_publishes_it(run: Path, tmp_path: Path, options: TargetOptions) -> None:
    source, reference = read_source(run), reference_runner(read_source(run))
    manifest, gate = publish(source, tmp_path / "r", options, pictures=PICTURES)
    assert len(gate.part("familiarity")) == len(PICTURES)
    assert manifest.gate["familiarity"]["flips"] == 0
    assert manifest.model["familiarity"]["version"] == "7"
    compare_repository(source, tmp_path / "r", reference=reference, pictures=PICTURES).require()


def test_a_bundle_carries_it(run: Path, tmp_path: Path) -> None:
    write_bundle(run, tmp_path / "a.bundle", pictures=PICTURES)
    bundle = read_bundle(tmp_path / "a.bundle")
    assert bundle.source.contract == read_source(run).contract
    own = reference_runner(read_source(run))
    for name, picture in bundle.pictures:
        recorded = bundle.reference.predict(name, picture).familiarity
        assert recorded == own.predict(name, picture).familiarity
    publish(
        bundle.source,
        tmp_path / "r",
        EmbeddedOptions(),
        pictures=bundle.pictures,
        reference=bundle.reference,
    )
