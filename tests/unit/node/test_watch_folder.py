"""A folder as a way in."""

from __future__ import annotations

from pathlib import Path

import pytest

from infmap_kit.errors import NodeError
from infmap_kit.node.intake import Intake
from infmap_kit.node.queue import view
from infmap_kit.node.queue.store import Store
from infmap_kit.node.watch_folder import WatchFolder

from .conftest import MakeFile


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def test_whole_files_are_taken_once(
    inbox: Path, intake: Intake, store: Store, make_file: MakeFile
) -> None:
    watched = WatchFolder(inbox, intake, max_object_bytes=2**20)
    file = make_file(folder=inbox)
    content = file.read_bytes()
    file.write_bytes(content[:1000])
    assert watched.look() == 0
    file.write_bytes(content)
    assert watched.look() == 0, "it has just changed"
    assert watched.look() == 1
    assert _names(inbox / "accepted") == {file.name}
    file.write_bytes(content)
    assert [watched.look(), watched.look()] == [0, 1]
    assert len(_names(inbox / "accepted")) == 2, "nothing is written over"
    counters = view.overview(store.database).counters
    assert counters == {"received": 1, "duplicate": 1}
    assert view.images(store.database)[0]["caller"] == "FOLDER"


def test_what_cannot_be_taken_is_put_aside_with_its_reason(
    inbox: Path, intake: Intake, make_file: MakeFile
) -> None:
    watched = WatchFolder(inbox, intake, max_object_bytes=5000)
    (inbox / "notes.txt").write_text("not a picture")
    (inbox / "large.dcm").write_bytes(b"\0" * 6000)
    (inbox / ".hidden").touch()
    (inbox / "link.dcm").symlink_to("/etc/passwd")
    good = make_file(folder=inbox)
    watched.look()
    assert watched.look() == 3
    assert _names(inbox / "refused") == {
        *("notes.txt", "notes.txt.reason.txt", "large.dcm", "large.dcm.reason.txt"),
    }
    assert "cannot be read" in (inbox / "refused" / "notes.txt.reason.txt").read_text()
    assert _names(inbox / "accepted") == {good.name}
    assert {".hidden", "link.dcm"} <= _names(inbox)


def test_with_a_full_disk_the_file_stays_where_it_is(
    inbox: Path, intake: Intake, store: Store, make_file: MakeFile
) -> None:
    full = WatchFolder(
        inbox, Intake(intake.spool, store, keep_free_bytes=2**60), max_object_bytes=2**20
    )
    file = make_file(folder=inbox)
    assert [full.look() for _ in range(3)] == [0, 0, 0]
    assert _names(inbox) == {file.name}


def test_a_missing_folder_is_said(tmp_path: Path, intake: Intake) -> None:
    with pytest.raises(NodeError, match="expected a folder to watch, found none at"):
        WatchFolder(tmp_path / "nowhere", intake, max_object_bytes=1)
