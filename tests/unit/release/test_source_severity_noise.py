"""The noise of a run's severity on its way to what is served: run folder, bundle, identity."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bundles import altered_bundle
from infmap_kit.errors import BundleError, ExportError, SpecError
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.release.bundle import read_bundle, write_bundle
from infmap_kit.release.publish import serving_identity
from infmap_kit.release.source import read_source
from infmap_kit.results.dicom.uids import model_identity
from other_finding import tuberculosis_run
from small_network import small_run

STATED = (
    "image 3.0625 4 50, lungs 5 6 45, variants 100, seed 0, shift_percent 2.0, rotation_degrees 2.0, "
    "tone_percent 5.0"
)


def with_noise(run: Path, **changes: Any) -> Path:
    """A run folder that knows the noise of its severity; ``changes`` is what its file says otherwise."""
    document = {"severity_noise": STATED, "spec_version": "7", "temperature": 1.0, **changes}
    (run / "severity_noise.json").write_text(json.dumps(document))
    return run


def _identity(run: Path) -> dict[str, str]:
    return dict(serving_identity(read_source(run), target="embedded", precision="fp32"))


def test_the_served_model_states_it_and_stays_the_same_model(tmp_path: Path) -> None:
    stated, silent = (
        _identity(with_noise(small_run(tmp_path / "a"))),
        _identity(small_run(tmp_path / "b")),
    )
    assert stated.pop("severity_noise") == STATED
    assert stated == silent
    assert model_identity({**stated, "severity_noise": STATED}) == model_identity(silent), "UIDs"


def test_a_bundle_carries_it(tmp_path: Path) -> None:
    run, path = with_noise(small_run(tmp_path / "run")), tmp_path / "a.bundle"
    write_bundle(run, path, pictures=synthetic_pictures()[:1])
    assert read_bundle(path).source.identity == read_source(run).identity

    def of_another_run(files: dict[str, bytes]) -> None:
        files["severity_noise.json"] = files["severity_noise.json"].replace(b'"7"', b'"6"')

    def damaged(files: dict[str, bytes]) -> None:
        files["severity_noise.json"] = files["severity_noise.json"].replace(b"image 3", b"image x")

    with pytest.raises(BundleError, match="is not of version '7': measure it again"):
        read_bundle(altered_bundle(path, of_another_run))
    with pytest.raises(SpecError, match=r"severity_noise.json in .*altered.bundle: expected sever"):
        read_bundle(altered_bundle(path, damaged))
    with pytest.raises(BundleError, match="is not JSON"):
        read_bundle(altered_bundle(path, lambda files: files.update({"severity_noise.json": b"{"})))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spec_version": "6"}, "made for version '6'"),
        ({"severity_noise": None}, "found 'None': measure it again"),
        ({"severity_noise": ["image"]}, "expected severity_noise such as"),
        ({"severity_noise": STATED.replace("3.0625", "-3")}, "expected severity_noise such as"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises((ExportError, SpecError), match=message) as refused:
        read_source(with_noise(small_run(tmp_path / "run"), **changes))
    assert "severity_noise.json" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_temperature_counts_where_the_threshold_is_not_a_half(tmp_path: Path) -> None:
    of_covid = with_noise(small_run(tmp_path / "covid"))
    other = with_noise(tuberculosis_run(tmp_path / "tb"))
    for run in (of_covid, other):
        assert "severity_noise" in read_source(run).identity
        (run / "calibration.json").write_text('{"temperature": 2.0, "spec_version": "7"}')
    assert "severity_noise" in read_source(of_covid).identity
    assert read_source(of_covid).temperature == 2
    with pytest.raises(
        SpecError, match=r"at the run's temperature, 2, found 1.0: measure it again"
    ):
        read_source(other)
