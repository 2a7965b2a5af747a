"""Reading a folder of results: what is shown, what is hidden, and what leads nowhere."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from infmap_kit.errors import ViewError
from infmap_kit.view.gallery import Gallery
from results import result_document
from view_results import HOSTILE


def _write(folder: Path, name: str, **changes: Any) -> None:
    (folder / f"{name}.json").write_text(json.dumps(result_document(**changes)))


def test_results_of_infer_with_their_pictures(made: Path) -> None:
    cards = Gallery(made / "out", identify=True).cards()
    by_source = {card.document["source"]: card for card in cards}
    assert set(by_source) == {
        "chest_1.png",
        f"{HOSTILE}.png",
        "chest_0.dcm",
        "chest_1.dcm",
        "notes.txt",
    }
    assert by_source["notes.txt"].document["rejected"]["code"] == "unknown-format"
    dicom = by_source["chest_0.dcm"]
    assert set(dicom.pictures) == {"infection_map", "radiograph", "probability", "lungs"}
    assert dicom.document["spacing_mm"] == {"down": 0.4, "across": 0.4, "at": "patient"}
    assert dicom.document["agrees"] is False


def test_nobody_is_named_unless_it_is_asked_for(made: Path) -> None:
    cards = Gallery(made / "out").cards()
    said = json.dumps([card.document for card in cards])
    assert "SECRET" not in said
    assert ".dcm" not in said
    patients = {card.document.get("patient") for card in cards}
    assert len(patients - {"", None}) == 1, (
        "two radiographs of one patient are of one patient still"
    )


@pytest.mark.parametrize(
    "name", ["../outside.png", "/etc/passwd", "sub/x.png", "link.png", ".hidden.png", 7]
)
def test_a_picture_cannot_lie_outside_the_folder(tmp_path: Path, name: object) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (tmp_path / "outside.png").write_bytes(b"secret")
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    _write(folder, "a", infection_map=name, view={"radiograph": name})
    gallery = Gallery(folder)
    (card,) = gallery.cards()
    assert [gallery.picture(card, kind) for kind in ("infection_map", "radiograph")] == [None, None]
    assert gallery.card("../outside") is None


def test_what_is_no_result_is_passed_over_and_a_damaged_one_too(tmp_path: Path) -> None:
    _write(tmp_path, "good")
    _write(tmp_path, "strange", severity_percent="many")
    (tmp_path / "broken.json").write_text('{"source": ')
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "deep.json").write_text("[" * 5000)
    assert [card.stem for card in Gallery(tmp_path).cards()] == ["good"]


def test_values_of_any_type_do_not_reach_the_page(tmp_path: Path) -> None:
    _write(
        tmp_path, "odd", warnings=[3, {"code": ["x"], "text": "\x1b[31m"}], grade={"a": 1}, lungs=[1],
        view={"tone": [5, 4], "spacing_mm": {"down": -1, "across": 0}, "offset": "x"}, height=6e5, width=6e5,
    )  # fmt: skip
    (card,) = Gallery(tmp_path).cards()
    assert card.document["grade"] == ""
    assert card.document["lungs"] == {}
    assert card.document["tone"] is card.document["spacing_mm"] is None
    assert card.document["warnings"][1] == {"code": "", "text": "\\x1b[31m"}
    assert card.document["height"] == 0


def test_a_finding_that_cannot_be_read_is_said_to_be_unknown(tmp_path: Path) -> None:
    _write(tmp_path, "a", model={"finding_threshold": "{"})
    (card,) = Gallery(tmp_path).cards()
    assert [one["code"] for one in card.document["warnings"]] == ["damaged-finding"]


def test_a_paint_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    _write(tmp_path, "a", model={"paint": "finger"})
    (card,) = Gallery(tmp_path).cards()
    assert [one["code"] for one in card.document["warnings"]] == ["damaged-paint"]
    assert card.document["paint"] == {}, "the paper's"


def test_a_name_that_is_no_utf8(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.json"
    Path(os.fsdecode(path)).write_text(json.dumps(result_document()))
    (card,) = Gallery(tmp_path).cards()
    assert card.document["name"] == "caf\\xe9"


def test_a_result_that_is_written_anew_is_shown_anew(tmp_path: Path) -> None:
    _write(tmp_path, "a", severity_percent=10.0)
    gallery = Gallery(tmp_path)
    _write(tmp_path, "a", severity_percent=20.5)
    _write(tmp_path, "b")
    assert [card.document["severity_percent"] for card in gallery.cards()] == [20.5, 10.0]


def test_a_folder_without_results_says_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(ViewError, match="--format png,json,view"):
        Gallery(tmp_path)
    with pytest.raises(ViewError, match="no folder"):
        Gallery(tmp_path / "nowhere")
