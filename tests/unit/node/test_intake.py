"""What is accepted is on disk and in the queue, once; what is not leaves nothing behind."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.encaps import generate_frames, itemize_fragment
from pydicom.uid import DeflatedExplicitVRLittleEndian

from dicom_files import LOSSLESS, as_file, chest_dataset, encoded
from infmap_kit.model.files import sha256_of
from infmap_kit.node import intake as intake_module
from infmap_kit.node.intake import (
    Conflict,
    Fault,
    Incomplete,
    Intake,
    NoRoom,
    Receipt,
    Unusable,
)
from infmap_kit.node.queue import view
from infmap_kit.node.queue.states import ResultFile, State
from infmap_kit.node.queue.store import Store
from infmap_kit.node.spool import Spool

from .conftest import MakeFile


def _accept(intake: Intake, file: Path, *, announced: tuple[str, str] | None = None) -> Receipt:
    part = intake.spool.arriving / "part"
    shutil.copy(file, part)
    try:
        return intake.accept(part, caller="A", announced=announced)
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


def _enter_as_before(intake: Intake, store: Store, content: bytes) -> int:
    """Enter an object without a look at its pixels, as nodes did until they looked."""
    file = intake.spool.images / "before.dcm"
    file.write_bytes(content)
    uid = str(dcmread(file, force=True, stop_before_pixels=True).SOPInstanceUID)
    number = store.add(
        sop_instance_uid=uid, sha256=sha256_of(file), file=file.name, size_bytes=len(content), caller="A"
    )  # fmt: skip
    assert isinstance(number, int)
    return number


@pytest.mark.parametrize("syntax", sorted(LOSSLESS.keys() - {"deflated"}))
def test_what_has_fewer_pixels_than_it_announces_is_not_accepted(
    syntax: str, intake: Intake, store: Store, tmp_path: Path
) -> None:
    content = encoded(chest_dataset(), LOSSLESS[syntax], tmp_path)
    file = tmp_path / "arrived.dcm"
    # Not behind the pixels, where an item of padding or a delimiter of eight bytes may be all that is lost.
    for kept in (*(int(part * len(content)) for part in (0.5, 0.9, 0.99)), len(content) - 50):
        file.write_bytes(content[:kept])
        with pytest.raises(Incomplete, match="cut short: it ends"):
            _accept(intake, file)
    assert _kept(intake.spool) == []
    assert view.overview(store.database).images["waiting"] == 0
    file.write_bytes(content)
    assert _accept(intake, file).is_new


def _items(*fragments: bytes) -> bytes:
    """A table of offsets that is empty, and one item for each fragment."""
    return b"".join(
        itemize_fragment(fragment + bytes(len(fragment) % 2)) for fragment in (b"", *fragments)
    )


@pytest.mark.parametrize("syntax", ["JPEG lossless, first order", "JPEG-LS"])
def test_a_jpeg_that_is_cut_inside_its_item_is_not_accepted(
    syntax: str, intake: Intake, tmp_path: Path
) -> None:
    """It was accepted, refused as truncated, and the whole one afterwards as another object of its UID."""
    file = tmp_path / "arrived.dcm"
    file.write_bytes(encoded(chest_dataset(), LOSSLESS[syntax], tmp_path))
    dataset = dcmread(file)
    (stream,) = generate_frames(dataset.PixelData, number_of_frames=1)
    half = len(stream) // 2
    for fragments in ([stream[:half]], [stream[:half], stream[half:-3]]):
        dataset.PixelData = _items(*fragments)
        dataset.save_as(file)
        with pytest.raises(Incomplete, match="cut short: it ends"):
            _accept(intake, file)
    # Whole in two items, also where the last has but half of the end, or is filled up.
    end = stream.rindex(b"\xff\xd9") + 1
    if end % 2:
        # A comment of five bytes.
        stream, end = stream[:2] + b"\xff\xfe\0\3x" + stream[2:], end + 5
    for number, fragments in enumerate(
        ([stream[:half], stream[half:]], [stream[:end], stream[end:]], [stream + bytes(2000)])
    ):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        dataset.PixelData = _items(*fragments)
        dataset.save_as(file)
        assert _accept(intake, file).is_new


def test_a_whole_file_whose_tags_announce_more_pixels_is_not_accepted(
    intake: Intake, make_file: MakeFile
) -> None:
    file = make_file()
    dataset = dcmread(file)
    dataset.Rows *= 2
    dataset.save_as(file)
    with pytest.raises(Incomplete, match="has 4096 bytes of pixels, its tags announce 8192"):
        _accept(intake, file)
    del dataset.PixelData
    dataset.save_as(file)
    with pytest.raises(Incomplete, match="no pixels, or ends before them"):
        _accept(intake, file)


def test_a_whole_object_takes_the_place_of_one_that_was_cut_short(
    intake: Intake, store: Store, make_file: MakeFile
) -> None:
    file = make_file(SOPInstanceUID="1.2.3")
    whole = file.read_bytes()
    number = _enter_as_before(intake, store, whole[:3000])
    job = store.claim("worker")
    assert job is not None
    report = ResultFile(kind="rejection", sop_instance_uid="1.9", file="1-rejection.dcm")
    store.processed(
        job, "worker", outcome=State.REJECTED, reason="truncated: …", results=[report],
        destinations=["pacs"],
    )  # fmt: skip
    assert _accept(intake, file) == Receipt(image_id=number, is_new=True)
    (kept,) = _kept(intake.spool)
    assert kept.read_bytes() == whole
    shown = view.image(store.database, number)
    assert (shown["state"], shown["file"], shown["deliveries"]) == ("waiting", kept.name, [])
    assert (
        shown["history"][-1]["what"]
        == "replaced by another object from A, it was cut short or damaged"
    )
    assert not _accept(intake, file).is_new, "now it is here"
    job = store.claim("worker")
    assert job is not None
    assert job.file == kept.name


@pytest.mark.parametrize(
    ("reason", "replaced"),
    [("unreadable: …", True), ("truncated: …", True), ("child: unreadable", False)],
)
def test_another_object_takes_the_place_of_one_that_could_not_be_decoded(
    intake: Intake, store: Store, make_file: MakeFile, reason: str, replaced: bool
) -> None:
    """As a JPEG 2000 that is cut inside its item: nothing shows it before it is decoded."""
    uids = {"SOPInstanceUID": "1.2.3", "StudyInstanceUID": "1.2.4", "SeriesInstanceUID": "1.2.5"}
    whole, damaged = make_file(1, **uids), make_file(2, **uids)
    dataset = dcmread(whole)
    dataset.PixelData = dataset.PixelData[:-100] + bytes(100)
    dataset.save_as(damaged)
    number = _accept(intake, damaged).image_id
    job = store.claim("worker")
    assert job is not None
    store.processed(
        job, "worker", outcome=State.REJECTED, reason=reason, results=[], destinations=[]
    )
    assert not _accept(intake, damaged).is_new, "the same again is nothing new"
    if replaced:
        assert _accept(intake, whole) == Receipt(image_id=number, is_new=True)
        assert [file.read_bytes() for file in _kept(intake.spool)] == [whole.read_bytes()]
    else:
        with pytest.raises(Conflict):
            _accept(intake, whole)


def test_only_the_same_patients_whole_object_replaces_and_no_finding_is_replaced(
    intake: Intake, store: Store, make_file: MakeFile
) -> None:
    uids = {"SOPInstanceUID": "1.2.3", "StudyInstanceUID": "1.2.4", "SeriesInstanceUID": "1.2.5"}
    file = make_file(**uids)
    whole = file.read_bytes()
    number = _enter_as_before(intake, store, whole[:3000])
    with pytest.raises(Conflict):
        _accept(intake, make_file(**uids, PatientID="another"))
    job = store.claim("worker")
    assert job is not None
    store.processed(job, "worker", outcome=State.DONE, reason="", results=[], destinations=[])
    with pytest.raises(Conflict):
        _accept(intake, make_file(**uids))
    assert view.image(store.database, number)["state"] == "done"


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


def test_an_object_of_millions_of_empty_attributes_is_refused_at_once(
    intake: Intake, tmp_path: Path
) -> None:
    """They took 44 s and 1.9 GiB in intake, and again in the worker."""
    content = as_file(chest_dataset())
    start = content.index(b"\x08\x00\x16\x00UI")
    part = intake.spool.arriving / "part"
    empty = b"\x08\x00\x00\x10LO\x00\x00" * (60 * 2**20 // 8)
    part.write_bytes(content[:start] + empty + content[start:])
    tracemalloc.start()
    # Of the processor, so that a busy machine makes no difference.
    started = time.process_time()
    try:
        with pytest.raises(Unusable, match="found tens of thousands"):
            intake.accept(part, caller="X")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < 20
    assert peak < 100 * 2**20
