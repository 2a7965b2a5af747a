"""Files with patients' data are their owner's alone, whatever the umask and whoever made the folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicom_files import as_file, chest_dataset
from findings import made_up
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.readers import decode_radiograph
from infmap_kit.model.files import make_private, write_bytes, write_json
from infmap_kit.node.queue.database import Database
from infmap_kit.node.spool import Spool, settle
from infmap_kit.results.folder import ResultOptions, ResultsFolder, SourceFile


@pytest.fixture(autouse=True)
def _open_to_all() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _modes(folder: Path) -> set[tuple[str, int]]:
    return {
        ("file" if one.is_file() else "folder", _mode(one)) for one in (folder, *folder.rglob("*"))
    }


@pytest.mark.parametrize("exists", [True, False])
def test_results_are_their_owners_alone(tmp_path: Path, exists: bool) -> None:
    folder = tmp_path / "results"
    if exists:
        folder.mkdir(mode=0o755)
        (folder / "a.json").write_text("{}")
    write_json(folder / "a.json", {}, private=True)
    write_bytes(folder / "b.dcm", b"", private=True)
    assert _modes(folder) == {("folder", 0o700), ("file", 0o600)}


def test_what_is_written_of_a_file_is_its_owners_alone(tmp_path: Path) -> None:
    content = as_file(chest_dataset())
    file = SourceFile.of(Path("x.dcm"), content)
    radiograph = decode_radiograph(content, "x.dcm")
    options = ResultOptions(formats=("png", "json", "sr"))
    answered = ResultsFolder(tmp_path / "answered", options)
    answered.write_finding(answered.named(file), radiograph, made_up(radiograph))
    rejected = ResultsFolder(tmp_path / "rejected", ResultOptions(formats=("sr", "view")))
    rejected.write_rejection(rejected.named(file), InputRejected("lateral", "a lateral view"))
    for folder, count in ((answered.folder, 3), (rejected.folder, 2)):
        assert len(list(folder.iterdir())) == count
        assert _modes(folder) == {("folder", 0o700), ("file", 0o600)}


def test_a_folder_that_is_not_for_results_alone_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, around = tmp_path / "shared", tmp_path / "around"
    (around / "present").mkdir(parents=True)
    shared.mkdir()
    shared.chmod(0o1777)
    around.chmod(0o755)
    monkeypatch.chdir(around / "present")
    for folder in (shared, around, Path()):
        before = _mode(folder)
        make_private(folder)
        assert _mode(folder) == before
        write_bytes(folder / "x", b"", private=True)
        assert _mode(folder / "x") == 0o600


def test_a_spool_and_its_queue_are_their_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    for room in ("images", "results", "arriving", "workers"):
        (folder / room).mkdir(parents=True)
        (folder / room).chmod(0o755)
    folder.chmod(0o777)
    (folder / "node.db").touch(0o644)
    spool = Spool(folder)
    database = Database(spool.database)
    part = spool.arriving / "part"
    part.write_bytes(b"x")
    settle(part, spool.images / "1.dcm")
    assert (folder / "node.db-wal").is_file()
    assert _modes(folder) == {("folder", 0o700), ("file", 0o600)}
    database.close()


def test_the_path_of_a_rejected_dicom_file_is_hidden_as_in_results(tmp_path: Path) -> None:
    source = tmp_path / "Doe^Jane_19600101.dcm"
    for content in (bytes(128) + b"DICM" + b"damaged", b"no DICOM at all", b""):
        with pytest.raises(InputRejected) as rejected:
            decode_radiograph(content, source.name, file=str(source))
        for identify in (False, True):
            results = ResultsFolder(tmp_path / "out", ResultOptions(identify=identify))
            outcome = results.write_rejection(
                results.named(SourceFile.of(source, content)), rejected.value
            )
            told = f"{outcome.rejection} {outcome.as_json()}"
            assert ("Doe" in told) == identify, told
            assert outcome.rejection is not None
            assert outcome.rejection.reason == rejected.value.reason
