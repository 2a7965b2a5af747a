"""What is accepted is on disk and in the queue, once; what is not leaves nothing behind."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian

from infmap_kit.node import intake as intake_module
from infmap_kit.node.intake import Conflict, Fault, Intake, NoRoom, Receipt, Unusable
from infmap_kit.node.queue import view
from infmap_kit.node.queue.store import Store
from infmap_kit.node.spool import Spool

from .conftest import MakeFile


def _accept(intake: Intake, file: Path, **options: tuple[str, str]) -> Receipt:
    part = intake.spool.arriving / "part"
    shutil.copy(file, part)
    try:
        return intake.accept(part, caller="A", **options)
    finally:
        assert list(intake.spool.arriving.iterdir()) == [], "nothing stays half-way"


def _kept(spool: Spool) -> list[Path]:
    return sorted(spool.images.iterdir())


def test_the_file_is_kept_as_it_came_and_synced_before_it_is_entered(
    intake: Intake, store: Store, make_file: MakeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, add = os.fsync, store.add

    def noting_fsync(descriptor: int) -> None:
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def noting_add(**values: object) -> object:
        steps.append("entered")
        return add(**values)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(store, "add", noting_add)
    file = make_file()
    receipt = _accept(intake, file)
    assert receipt == Receipt(image_id=1, is_new=True)
    assert steps == ["file", "folder", "entered"]
    (remaining,) = _kept(intake.spool)
    assert remaining.read_bytes() == file.read_bytes()
    assert "PAT" not in remaining.name


def test_the_same_object_again_is_a_success_and_done_once(
    intake: Intake, store: Store, make_file: MakeFile
) -> None:
    file = make_file()
    first, second = _accept(intake, file), _accept(intake, file)
    assert second == Receipt(image_id=first.image_id, is_new=False)
    assert len(_kept(intake.spool)) == 1
    assert view.overview(store.database).counters == {"received": 1, "duplicate": 1}


def test_the_same_picture_with_other_attributes_is_kept_as_it_was(
    intake: Intake, make_file: MakeFile
) -> None:
    uids = {"SOPInstanceUID": "1.2.3", "StudyInstanceUID": "1.2.4", "SeriesInstanceUID": "1.2.5"}
    _accept(intake, make_file(**uids))
    before = _kept(intake.spool)[0].read_bytes()
    receipt = _accept(intake, make_file(**uids, StationName="OTHER"))
    assert not receipt.is_new
    assert receipt.remark == "other attributes; the first is kept"
    assert [remaining.read_bytes() for remaining in _kept(intake.spool)] == [before]


@pytest.mark.parametrize("change", [{"brightness": 1}, {"PatientID": "another"}])
def test_another_picture_or_patient_under_the_same_uid_is_refused(
    intake: Intake, store: Store, make_file: MakeFile, change: dict[str, str]
) -> None:
    uids = {"SOPInstanceUID": "1.2.3", "StudyInstanceUID": "1.2.4", "SeriesInstanceUID": "1.2.5"}
    _accept(intake, make_file(**uids))
    with pytest.raises(Conflict, match="that of radiograph 1"):
        _accept(intake, make_file(**uids, **change))
    assert len(_kept(intake.spool)) == 1
    assert view.overview(store.database).counters == {"received": 1, "conflict": 1}


def test_a_disk_below_its_reserve_accepts_nothing(
    spool: Spool, store: Store, make_file: MakeFile
) -> None:
    intake = Intake(spool, store, keep_free_bytes=2**60)
    with pytest.raises(NoRoom, match="MiB free on the spool's disk, found"):
        _accept(intake, make_file())
    assert _kept(spool) == []
    assert view.overview(store.database).images["waiting"] == 0


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), sqlite3.OperationalError("full")]
)
def test_what_could_not_be_written_down_was_not_accepted(
    intake: Intake,
    store: Store,
    make_file: MakeFile,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    if isinstance(error, OSError):
        monkeypatch.setattr(intake_module, "settle", fail)
    else:
        monkeypatch.setattr(store, "add", fail)
    with pytest.raises(NoRoom, match="cannot be written"):
        _accept(intake, make_file())
    monkeypatch.undo()
    assert view.overview(store.database).images["waiting"] == 0
    assert _accept(intake, make_file()).is_new, "sent again, it is accepted"
    intake.spool.sweep(view.files(store.database), view.image_ids(store.database))
    assert len(_kept(intake.spool)) == 1


def test_what_was_announced_must_come(intake: Intake, make_file: MakeFile) -> None:
    file = make_file(SOPInstanceUID="1.2.3")
    sop_class = str(dcmread(file).SOPClassUID)
    for announced, fault in [
        ((sop_class, "1.2.4"), Fault.OTHER_INSTANCE),
        (("1.2.840.10008.5.1.4.1.1.2", "1.2.3"), Fault.OTHER_CLASS),
    ]:
        with pytest.raises(Unusable) as refused:
            _accept(intake, file, announced=announced)
        assert refused.value.fault is fault
    assert _accept(intake, file, announced=(sop_class, "1.2.3")).is_new


def test_a_deflated_bomb_is_not_opened(intake: Intake, make_file: MakeFile) -> None:
    file = make_file()
    dataset = dcmread(file)
    dataset.PixelData = b"\0" * 200 * 2**20
    dataset.Rows = dataset.Columns = 14000
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(file, enforce_file_format=True)
    assert file.stat().st_size < 2**20
    with pytest.raises(Unusable, match="not deflated"):
        _accept(intake, file)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_damaged_files_are_accepted_or_refused_but_nothing_else(
    intake: Intake, make_file: MakeFile, data: st.DataObject
) -> None:
    # The same file each time, so that a failure can be repeated.
    uids = {"SOPInstanceUID": "1.2.3", "StudyInstanceUID": "1.2.4", "SeriesInstanceUID": "1.2.5"}
    content = bytearray(make_file(**uids).read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, 700))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    file = intake.spool.folder / "damaged.dcm"
    file.write_bytes(content[:cut])
    refusal = ""
    try:
        _accept(intake, file)
    except (Unusable, Conflict) as error:
        refusal = str(error)
    assert "\n" not in refusal
    assert "Geheim" not in refusal
