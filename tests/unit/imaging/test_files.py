"""Which files are meant."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infmap_kit.imaging.files import find_pictures

_PNG = b"\x89PNG\r\n\x1a\n"
_DICOM = bytes(128) + b"DICM"


@pytest.fixture
def ward(tmp_path: Path) -> Path:
    """A folder as it is found in practice."""
    for name, content in {
        "b/2.png": _PNG,
        "b/10.PNG": b"damaged",
        "a/IM0001": _DICOM,
        "a/notes.csv": b"name,age\n",
        "a/.hidden.png": _PNG,
        ".cache/x.png": _PNG,
        "empty.jpeg": b"",
        "README": b"text",
    }.items():
        path = tmp_path / "ward" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "ward"


def test_folder_gives_pictures_and_what_claims_to_be_one(ward: Path) -> None:
    actual = find_pictures([ward])
    assert actual == [ward / n for n in ("empty.jpeg", "a/IM0001", "b/10.PNG", "b/2.png")]


def test_what_was_named_is_kept_in_order_and_once(ward: Path) -> None:
    named = [ward / "README", ward / "nowhere.png", ward / "b" / "2.png"]
    assert find_pictures([*named, ward / "b", ward / "b" / ".." / "README"]) == [
        *named,
        ward / "b" / "10.PNG",
    ]


def test_folder_without_pictures_is_kept(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b")
    assert find_pictures([tmp_path]) == [tmp_path]
    assert find_pictures([]) == []


def test_odd_names_are_kept_for_the_reader_to_refuse(tmp_path: Path) -> None:
    loop, long = tmp_path / "loop.png", tmp_path / ("x" * 300)
    loop.symlink_to("loop.png")
    assert find_pictures([loop, long]) == [loop, long]
    assert find_pictures([tmp_path]) == [loop]


def test_links_do_not_lead_out(ward: Path, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "p.png").write_bytes(_PNG)
    (ward / "b" / "out").symlink_to(tmp_path / "private")
    (ward / "b" / "out.png").symlink_to(tmp_path / "private" / "p.png")
    (ward / "b" / "round").symlink_to(ward)
    (ward / "b" / "same.png").symlink_to(ward / "b" / "2.png")
    (ward / "b" / "gone.png").symlink_to(ward / "b" / "not-there.png")
    actual = find_pictures([ward / "b"])
    assert actual == [ward / "b" / n for n in ("10.PNG", "2.png", "gone.png")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open every folder")
def test_closed_folder_is_reported(ward: Path) -> None:
    closed = ward / "a"
    closed.chmod(0)
    try:
        assert closed in find_pictures([ward])
    finally:
        closed.chmod(0o700)
