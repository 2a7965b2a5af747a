"""Publishing: the old repository or the new one, complete, whatever happens in between."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infmap_kit.errors import ExportError, SpecError
from infmap_kit.model.files import read_json, write_json
from infmap_kit.triton.releases import publishing
from infmap_kit.triton.repository import MANIFEST, check_repository
from published import publish_text, texts_of


def _beside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_published_repositories_pass_their_own_check(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    for release, text in enumerate(("old", "new"), start=1):
        publish_text(repository, text)
        assert set(check_repository(repository).files) == {
            f"{model}/{name}"
            for model in ("one", "two")
            for name in ("config.pbtxt", f"{release}/model.onnx")
        }
        assert texts_of(repository) == {text}
    assert _beside(tmp_path) == [".repository.releases", "repository"], "nothing is left beside it"


def test_an_export_that_fails_leaves_the_old_state(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    publish_text(repository, "old")
    with pytest.raises(RuntimeError, match="gate"), publishing(repository) as draft:
        (draft.folder / "half").mkdir()
        raise RuntimeError("gate")
    assert texts_of(repository) == {"old"}
    check_repository(repository)
    assert _beside(tmp_path) == [".repository.releases", "repository"]


def _change(repository: Path, key: str, value: object) -> None:
    write_json(repository / MANIFEST, {**read_json(repository / MANIFEST), key: value})


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda r: (r / "one/1/model.onnx").write_text("changed"), "is not what was exported"),
        (lambda r: (r / "one/1/model.onnx").unlink(), "lacks one/1/model.onnx"),
        (lambda r: (r / "one/1/more.py").write_text(""), "holds one/1/more.py"),
        (lambda r: (r / "one/1/link").symlink_to("/etc/passwd"), "is a link"),
        (lambda r: os.mkfifo(r / "one/1/pipe"), "is neither file nor folder"),
        (lambda r: (r / "three").mkdir(), "is an empty folder"),
        (lambda r: (r / "one/2").mkdir(), "is an empty folder"),
        (lambda r: (r / MANIFEST).unlink(), "fill it with `infmap-kit export`"),
        (lambda r: (r / MANIFEST).write_text("{"), "is not JSON"),
        (lambda r: (r / MANIFEST).write_text('{"schema": 9}'), "of schema 1, found 9"),
        (lambda r: (r / MANIFEST).write_text('{"schema": 1}'), "is not a manifest"),
        (lambda r: (r / MANIFEST).write_text("[" * 200_000), "is not JSON: it is nested too deep"),
        (lambda r: (r / MANIFEST).write_text('{"schema": ' + "9" * 5000), "is not JSON"),
        (lambda r: _change(r, "target", ["embedded"]), "target: expected str, found array"),
        (lambda r: _change(r, "precision", 7), "precision: expected str, found int"),
        (lambda r: _change(r, "model", None), "model: expected object, found null"),
        (lambda r: _change(r, "gate", "passed"), "gate: expected object, found str"),
        (lambda r: _change(r, "built_with", []), "built_with: expected object, found array"),
        (lambda r: _change(r, "built_with", {"python": 3}), "built_with.* expected str, found int"),
        (lambda r: _change(r, "surplus", 1), "there is no field surplus"),
        (lambda r: _change(r, "files", {"one/../x": "0" * 64}), "leads out of the folder"),
        (lambda r: _change(r, "model", {"temperature": -1.0}), "expected a number above 0"),
        (lambda r: _change(r, "model", {"temperature": float("nan")}), "NaN is no number"),
        (lambda r: _change(r, "model", {"name": "a\nb"}), "in one line"),
        (lambda r: _change(r, "gate", {"passed": True, "dice": "1"}), "gate: "),
        (lambda r: _change(r, "release", True), "release: expected int, found bool"),
    ],
)
def test_harm_is_named(tmp_path: Path, harm: object, reason: str) -> None:
    repository = tmp_path / "repository"
    publish_text(repository, "text")
    assert callable(harm)
    harm(repository)
    with pytest.raises(SpecError, match=reason):
        check_repository(repository)


def test_a_foreign_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    with pytest.raises(ExportError, match=r"thesis\.tex, which no export made"):
        publish_text(tmp_path / "home", "text")
    assert (tmp_path / "home" / "thesis.tex").read_text() == "years of work"
