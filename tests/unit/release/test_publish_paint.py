"""How maps are painted is an attribute of a release: stated, carried, and held to by the gate."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import onnx
import pytest

from infmap_kit.errors import GateFailed, SpecError
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.graphs.rendering import rendering_graph
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.model.paint import PAPER, PARAMETERS, Paint
from infmap_kit.progression.result import compared_identity
from infmap_kit.release.bundle import read_bundle, write_bundle
from infmap_kit.release.export import publish
from infmap_kit.release.publish import reference_runner, serving_identity
from infmap_kit.release.source import Source, read_source, with_parts
from infmap_kit.release.verify import compare_repository
from infmap_kit.results.dicom.uids import model_identity
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.triton.repository import Manifest, served_contract
from published import seal_anew
from small_network import small_lung_run, small_run

PICTURES = synthetic_pictures()[:2]
IN_LUNGS = Paint(paint_from=0.1, paint_in="lungs", colours="cividis")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    folder = tmp_path_factory.mktemp("paint")
    lungs = small_lung_run(folder / "lungs")
    return with_parts(read_source(small_run(folder / "run")), {"lungs": lungs})


def _published(source: Source, repository: Path, paint: Paint | None = None) -> Manifest:
    if paint is not None:
        source = dataclasses.replace(source, paint=paint)
    manifest, _ = publish(source, repository, EmbeddedOptions(threads=1), pictures=PICTURES)
    return manifest


def _verify(source: Source, repository: Path) -> None:
    # Of the run alone, which says nothing of paints.
    reference = reference_runner(source)
    compare_repository(source, repository, reference=reference, pictures=PICTURES).require()


def test_a_release_states_its_paint_and_the_default_is_opacity(
    source: Source, tmp_path: Path
) -> None:
    for name, paint in (("o", None), ("p", PAPER), ("l", IN_LUNGS)):
        manifest = _published(source, tmp_path / name, paint)
        identity = ModelIdentity.of(manifest.model, target="embedded", precision="fp32")
        assert identity.paint == served_contract(manifest).paint == (paint or Paint())
        _verify(source, tmp_path / name)
    assert "paint" not in Manifest.read(tmp_path / "p").model, "which is what stated none before"
    assert Manifest.read(tmp_path / "o").model["paint"] == {"paint": "opacity"}


def test_a_graph_that_paints_otherwise_than_stated_does_not_pass(
    source: Source, tmp_path: Path
) -> None:
    _published(source, tmp_path / "r")
    path = tmp_path / "r" / "infmap" / "1" / "rendering.onnx"
    onnx.save(rendering_graph(PAPER), path)
    seal_anew(tmp_path / "r")
    with pytest.raises(GateFailed, match="infection map is not what its own probability gives"):
        _verify(source, tmp_path / "r")


def test_inside_the_lungs_needs_lungs(tmp_path: Path) -> None:
    alone = dataclasses.replace(read_source(small_run(tmp_path / "run")), paint=IN_LUNGS)
    with pytest.raises(SpecError, match="--paint-in lungs needs to know where they are: give"):
        _published(alone, tmp_path / "r")


def test_a_bundle_carries_its_paint(tmp_path: Path) -> None:
    run, lungs = small_run(tmp_path / "run"), small_lung_run(tmp_path / "lungs")
    path = tmp_path / "x.bundle"
    write_bundle(run, path, pictures=PICTURES, parts={"lungs": lungs}, paint=IN_LUNGS)
    bundle = read_bundle(path)
    assert bundle.source.paint == bundle.source.contract.paint == IN_LUNGS
    manifest, gate = publish(
        bundle.source,
        tmp_path / "r",
        EmbeddedOptions(threads=1),
        pictures=bundle.pictures,
        reference=bundle.reference,
    )
    assert gate.passed
    assert served_contract(manifest).paint == IN_LUNGS


def test_another_paint_is_another_object_and_the_same_answer(source: Source) -> None:
    stated = [
        serving_identity(
            dataclasses.replace(source, paint=paint), target="embedded", precision="fp32"
        )
        for paint in (Paint(), PAPER, IN_LUNGS)
    ]
    assert len({model_identity(one) for one in stated}) == 3
    assert len({compared_identity(one) for one in stated}) == 1
    assert {key for one in stated for key in one if key.startswith("paint")} <= PARAMETERS


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"paint": "thin"}, "expected --paint of opacity, paper, found 'thin'"),
        ({"paint_in": "heart"}, "expected --paint-in of everywhere, lungs, found 'heart'"),
        ({"colours": "red"}, "expected --colours of jet, turbo, inferno, cividis, found 'red'"),
        ({"paint_from": 1.0}, "expected --paint-from from 0 and below 1, found 1"),
        ({"paint_from": float("nan")}, "expected --paint-from from 0 and below 1, found nan"),
    ],
)
def test_what_is_no_paint_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        Paint(**options)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="paint_from of the model is no number"):
        Paint.from_parameters({"paint_from": "much"})
