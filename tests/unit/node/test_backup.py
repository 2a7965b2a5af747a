"""A backup is the state of one moment, whatever goes on; only a whole one is restored, into an empty folder."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import shutil
import signal
import tarfile
from pathlib import Path
from typing import Any

import pytest

from infmap_kit.errors import NodeError
from infmap_kit.node.audit.trail import Trail
from infmap_kit.node.check.reading import read_config
from infmap_kit.node.config import NodeConfig
from infmap_kit.node.custody import backup as backing
from infmap_kit.node.custody import restore as restoring
from infmap_kit.node.custody.backup import back_up
from infmap_kit.node.custody.restore import restore, take_config
from infmap_kit.node.intake import Intake
from infmap_kit.node.queue import view
from infmap_kit.node.queue.database import Database
from infmap_kit.node.queue.states import ResultFile, State
from infmap_kit.node.queue.store import Store
from infmap_kit.node.retention import forget
from infmap_kit.node.spool import NodeLock, Spool

from .conftest import MakeFile

_TOML = (
    '[node]\nspool = "spool"\n[[callers]]\nae_title = "A"\n[[models]]\nname = "m"\n'
    '[[rules]]\nname = "r"\nmodel = "m"\nto = []\n'
)


@dataclasses.dataclass(frozen=True)
class Root:
    """A folder with a node's file and spool in it."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "node.toml"

    @property
    def config(self) -> NodeConfig:
        return read_config(self.file)

    def back_up(self) -> Path:
        target = self.folder / "backup.tar"
        back_up(self.config, self.file, target)
        return target


@pytest.fixture
def root(tmp_path: Path, intake: Intake, store: Store, make_file: MakeFile) -> Root:
    """Radiograph 1 is done, 2 is being worked on, 3 waits."""
    (tmp_path / "node.toml").write_text(_TOML)
    for number in (1, 2, 3):
        part = intake.spool.arriving / "part"
        shutil.copy(make_file(number), part)
        intake.accept(part, caller="A")
    job = store.claim("w")
    assert job is not None
    (intake.spool.results / "1-sc.dcm").write_bytes(b"result")
    results = [ResultFile(kind="sc", sop_instance_uid="1.2", file="1-sc.dcm")]
    store.processed(job, "w", outcome=State.DONE, reason="", results=results, destinations=[])
    store.claim("w")
    made = Root(tmp_path)
    Trail(made.config).started()
    return made


@pytest.fixture
def other(tmp_path: Path) -> Root:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "node.toml").write_text(_TOML)
    return Root(tmp_path / "other")


def _contents(folder: Path) -> dict[str, bytes]:
    rooms = ("images", "results", "audit")
    files = [path for room in rooms for path in (folder / room).glob("*")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _states(root: Root) -> dict[int, str]:
    database = Database(root.config.node.spool / "node.db")
    states = {image["id"]: image["state"] for image in view.images(database)}
    database.close()
    return states


def test_everything_comes_back_and_what_was_worked_on_waits(root: Root, other: Root) -> None:
    saved = back_up(root.config, root.file, root.folder / "backup.tar")
    assert (saved.images, saved.results, saved.audit, saved.unfinished) == (3, 1, 1, 2)
    assert (root.folder / "backup.tar").stat().st_mode & 0o777 == 0o600
    assert restore(root.folder / "backup.tar", other.config)["images"] == 3
    assert _contents(other.folder / "spool") == _contents(root.folder / "spool")
    assert _states(other) == {1: "done", 2: "waiting", 3: "waiting"}
    assert _states(root)[2] == "working", "the node itself goes on"
    take_config(root.folder / "backup.tar", root.folder / "taken.toml")
    assert (root.folder / "taken.toml").read_text() == _TOML


def test_what_is_forgotten_while_it_is_copied_is_in_neither_queue_nor_files(
    root: Root, other: Root, spool: Spool, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_room = backing._Writer.add_room

    def after_retention(writer: Any, room: str, folder: Path, names: set[str]) -> set[str]:
        forget(spool, store, 1)
        return add_room(writer, room, folder, names)

    monkeypatch.setattr(backing._Writer, "add_room", after_retention)
    restore(root.back_up(), other.config)
    assert _states(other) == {2: "waiting", 3: "waiting"}
    assert len(list((other.folder / "spool" / "images").iterdir())) == 2


def test_a_folder_of_a_node_is_not_overwritten(root: Root, other: Root) -> None:
    backup = root.back_up()
    before = _contents(root.folder / "spool")
    with pytest.raises(NodeError, match="found a node's: nothing was restored"):
        restore(backup, root.config)
    assert _contents(root.folder / "spool") == before
    (other.folder / "spool" / "photos").mkdir(parents=True)
    with pytest.raises(NodeError, match="expected an empty folder"):
        restore(backup, other.config)
    (other.folder / "spool" / "photos").rmdir()
    lock = NodeLock(Spool(other.folder / "spool"))
    with pytest.raises(NodeError, match="another node on it"):
        restore(backup, other.config)
    lock.release()
    restore(backup, other.config)
    with pytest.raises(NodeError, match="nothing was restored"):
        restore(backup, other.config)
    with pytest.raises(NodeError, match="expected no file"):
        back_up(root.config, root.file, backup)


@pytest.mark.parametrize("what", ["flipped", "cut", "text", "stranger"])
def test_nothing_of_a_damaged_backup_is_restored(root: Root, other: Root, what: str) -> None:
    backup = root.back_up()
    content = bytearray(backup.read_bytes())
    if what == "flipped":
        content[5000] ^= 1
    elif what == "cut":
        del content[len(content) // 2 :]
    elif what == "text":
        content = bytearray(b"no tar at all\n" * 100)
    backup.write_bytes(content)
    if what == "stranger":
        with tarfile.open(backup, "w") as tar:
            tar.add(root.file, arcname="images/../../escaped.toml")
    with pytest.raises(NodeError, match="damaged|cut short|no backup"):
        restore(backup, other.config)
    assert _contents(other.folder / "spool") == {}
    assert not (other.folder / "spool" / "node.db").exists()
    assert not (other.folder / "spool" / "restoring").exists()


@pytest.mark.parametrize("step", ["_check_queue", "_move", "settle"])
def test_a_restore_that_was_killed_is_finished_by_the_next(
    root: Root, other: Root, step: str
) -> None:
    backup = root.back_up()

    def restore_and_die() -> None:
        setattr(restoring, step, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        restore(backup, other.config)

    process = multiprocessing.get_context("fork").Process(target=restore_and_die)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert not (other.folder / "spool" / "node.db").exists()
    restore(backup, other.config)
    assert _contents(other.folder / "spool") == _contents(root.folder / "spool")
    assert _states(other)[1] == "done"
