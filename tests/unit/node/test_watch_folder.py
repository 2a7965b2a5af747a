"""A folder as a way in."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from infmap_kit.errors import NodeError
from infmap_kit.node.intake import Intake
from infmap_kit.node.queue import view
from infmap_kit.node.queue.store import Store
from infmap_kit.node.watch_folder import WatchFolder, has_writer

from .conftest import MakeFile

Watch = Callable[..., WatchFolder]


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def watch(inbox: Path, intake: Intake) -> Watch:
    """Watches the inbox, and waits for nothing but what is asked."""

    def make(**options: float) -> WatchFolder:
        usual = {"max_object_bytes": 2**20, "settle_s": 0, "patience_s": 0}
        return WatchFolder(inbox, intake, **{**usual, **options})  # type: ignore[arg-type]

    return make


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _received(store: Store) -> int:
    return view.overview(store.database).counters.get("received", 0)


def test_whole_files_are_taken_once(
    inbox: Path, watch: Watch, store: Store, make_file: MakeFile
) -> None:
    watched = watch()
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
    inbox: Path, watch: Watch, make_file: MakeFile
) -> None:
    watched = watch(max_object_bytes=5000)
    (inbox / "notes.txt").write_text("not a picture")
    (inbox / "large.dcm").write_bytes(b"\0" * 6000)
    longest = "ö" * 125 + ".dcm"
    (inbox / longest).write_text("no picture, and its name takes no suffix")
    good = make_file(folder=inbox)
    watched.look()
    assert watched.look() == 4
    refused = _names(inbox / "refused")
    assert refused >= {
        "notes.txt",
        "notes.txt.reason.txt",
        "large.dcm",
        "large.dcm.reason.txt",
        longest,
    }
    assert len(refused) == 6
    assert "cannot be read" in (inbox / "refused" / "notes.txt.reason.txt").read_text()
    assert _names(inbox / "accepted") == {good.name}


def test_what_is_never_looked_at_is_said_once(
    inbox: Path, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    (inbox / ".hidden").touch()
    (inbox / "link.dcm").symlink_to("/etc/passwd")
    (inbox / "more").mkdir()
    os.mkfifo(inbox / "pipe.dcm")
    for name in ("a.dcm.part", "b.TMP", "c.dcm~", "~d.dcm", "e.dcm.filepart", "f.crdownload"):
        (inbox / name).write_text("half")
    there = _names(inbox)
    caplog.set_level(logging.INFO, "infmap_kit.node")
    watched = watch()
    assert [watched.look() for _ in range(4)] == [0, 0, 0, 0]
    assert _names(inbox) == there
    noted = [vars(record)["fields"] for record in caplog.records]
    said = {fields["what"].split(":")[0]: fields["found"] for fields in noted}
    assert said == {
        "folders": 1, "hidden files": 1, "links": 1, "pipes, sockets or devices": 1,
        "unfinished files, by their name": 6,
    }  # fmt: skip
    assert len(noted) == 5, "once, not at every look"


@pytest.mark.parametrize("share", ["tmp_path", "/dev/shm"])
def test_a_file_that_is_open_for_writing_waits(
    share: str, tmp_path: Path, intake: Intake, store: Store, make_file: MakeFile
) -> None:
    with tempfile.TemporaryDirectory(dir=tmp_path if share == "tmp_path" else share) as inbox:
        watched = WatchFolder(
            Path(inbox), intake, max_object_bytes=2**20, settle_s=0, patience_s=600
        )
        content = make_file().read_bytes()
        # Its pixels are all there: only the kernel knows that more is to come.
        code = (
            "import sys\n"
            "file = open(sys.argv[1], 'wb', buffering=0)\n"
            "file.write(sys.stdin.buffer.read(int(sys.argv[2])))\n"
            "print('written', flush=True)\n"
            "file.write(sys.stdin.buffer.read())\n"
        )
        writing = subprocess.Popen(
            [sys.executable, "-c", code, f"{inbox}/a.dcm", str(len(content))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert writing.stdin is not None
        assert writing.stdout is not None
        writing.stdin.write(content)
        writing.stdin.flush()
        writing.stdout.readline()
        assert [watched.look() for _ in range(4)] == [0, 0, 0, 0]
        assert _received(store) == 0
        writing.stdin.close()
        assert writing.wait(20) == 0
        writing.stdout.close()
        assert [watched.look() for _ in range(2)].count(1) == 1
        assert _received(store) == 1


def test_a_file_must_rest_for_the_settle_time(
    watch: Watch, inbox: Path, make_file: MakeFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [100.0]
    monkeypatch.setattr("infmap_kit.node.watch_folder.time.monotonic", lambda: now_s[0])
    watched = watch(settle_s=5)
    file = make_file(folder=inbox)
    taken = []
    for look in range(7):
        if look == 2:
            os.utime(file, (1, 1))
        taken.append(watched.look())
        now_s[0] += 2
    assert taken == [0, 0, 0, 0, 0, 1, 0], "counted from the last change"
    assert _names(inbox) == {"accepted"}


@pytest.mark.parametrize("part", [0.03, 0.5, 0.999])
def test_half_a_radiograph_is_never_accepted_and_the_whole_one_is(
    part: float, watch: Watch, inbox: Path, store: Store, make_file: MakeFile
) -> None:
    file = make_file(folder=inbox)
    content = file.read_bytes()
    file.write_bytes(content[: int(part * len(content))])
    patient = watch(patience_s=600)
    assert [patient.look() for _ in range(4)] == [0, 0, 0, 0], "the rest may be on its way"
    assert _names(inbox) == {file.name}
    impatient = watch()
    assert [impatient.look(), impatient.look()] == [0, 1]
    assert file.name in _names(inbox / "refused")
    if part > 0.1:
        reason = (inbox / "refused" / f"{file.name}.reason.txt").read_text()
        assert "cut short" in reason
        assert "bytes of its pixels" in reason
    assert _received(store) == 0
    file.write_bytes(content)
    assert [impatient.look(), impatient.look()] == [0, 1]
    assert _names(inbox / "accepted") == {file.name}
    assert _received(store) == 1


def test_where_leases_are_refused_the_open_files_of_processes_are_searched(tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("needs another user, to whom the kernel refuses a lease on a file of root's")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        file = Path(folder, "of-root.dcm")
        file.touch(mode=0o666)
        file.chmod(0o666)
        code = (
            # Python's own files may be closed to the other user.
            "import ctypes, encodings.ascii, fcntl, os, sys\n"
            "from infmap_kit.node.watch_folder import has_writer\n"
            "os.setgroups([])\n"
            "os.setresgid(*[65534] * 3)\n"
            "os.setresuid(*[65534] * 3)\n"
            # PR_SET_DUMPABLE, which the change of user took away: a process may see its own files again.
            "ctypes.CDLL(None).prctl(4, 1)\n"
            "reading = open(sys.argv[1], 'rb')\n"
            "try:\n    fcntl.fcntl(reading, fcntl.F_SETLEASE, fcntl.F_RDLCK)\n"
            "except PermissionError:\n    print('refused')\n"
            "writing = open(sys.argv[1], 'ab')\n"
            "print(has_writer(reading))\n"
            "writing.close()\n"
            "print(has_writer(reading))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, file], capture_output=True, text=True, check=False
        )
    assert done.stdout.split() == ["refused", "True", "False"], done.stderr


def test_a_writer_that_comes_meanwhile_does_not_end_the_process(tmp_path: Path) -> None:
    file = tmp_path / "a.dcm"
    file.write_bytes(b"0")
    with file.open("rb") as reading:
        assert not has_writer(reading)
        with file.open("ab"):
            assert has_writer(reading)
        assert not has_writer(reading)


def test_with_a_full_disk_the_file_stays_where_it_is(
    inbox: Path, intake: Intake, store: Store, make_file: MakeFile
) -> None:
    full = WatchFolder(
        inbox,
        Intake(intake.spool, store, keep_free_bytes=2**60),
        max_object_bytes=2**20,
        settle_s=0,
        patience_s=0,
    )
    file = make_file(folder=inbox)
    assert [full.look() for _ in range(3)] == [0, 0, 0]
    assert _names(inbox) == {file.name}


def test_a_folder_that_goes_away_and_comes_back_is_watched_on(
    inbox: Path, watch: Watch, make_file: MakeFile, caplog: pytest.LogCaptureFixture
) -> None:
    watched = watch()
    away = inbox.rename(inbox.with_name("away"))
    assert [watched.look(), watched.look()] == [0, 0]
    away.rename(inbox)
    file = make_file(folder=inbox)
    assert [watched.look(), watched.look()] == [0, 1]
    assert _names(inbox / "accepted") == {file.name}
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert (
        warning.getMessage()
        == "watch folder: it cannot be read or written: No such file or directory"
    )


def test_a_missing_folder_is_said(tmp_path: Path, intake: Intake) -> None:
    with pytest.raises(NodeError, match="expected a folder to watch, found none at"):
        WatchFolder(tmp_path / "nowhere", intake, max_object_bytes=1, settle_s=0, patience_s=0)
