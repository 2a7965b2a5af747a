"""One patient is forgotten: nothing of them stays on disk, of others all, and a killed call is finished."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pytest
from pydicom import dcmread

from infmap_kit.cli.app import app
from infmap_kit.command import exit_code_of
from infmap_kit.errors import NodeError
from infmap_kit.imaging.dicom.identity import hashed_uid
from infmap_kit.node.custody import forgetting
from infmap_kit.node.custody.forgetting import Name, find, forget_all
from infmap_kit.node.intake import Intake
from infmap_kit.node.queue import view
from infmap_kit.node.queue.database import Database
from infmap_kit.node.queue.states import ResultFile, State
from infmap_kit.node.queue.store import Store
from infmap_kit.node.spool import Spool

from .conftest import MakeFile

TO_FORGET, OTHER = "PAT-Vergissmich", "PAT-Bleibt"


@pytest.fixture
def uids(intake: Intake, store: Store, make_file: MakeFile) -> list[str]:
    """Radiographs 1 and 2 of one patient, in two studies, and 3 of another; all are done."""
    uids = []
    for number, patient in enumerate((TO_FORGET, TO_FORGET, OTHER), start=1):
        file = make_file(
            number, brightness=number, PatientID=patient, AccessionNumber=f"ACC{number}"
        )
        uids.append(str(dcmread(file).SOPInstanceUID))
        _receive(intake, file)
        _finish(intake.spool, store, number)
    return uids


def _receive(intake: Intake, file: Path) -> None:
    part = intake.spool.arriving / file.name
    shutil.copy(file, part)
    intake.accept(part, caller="A")


def _finish(spool: Spool, store: Store, number: int) -> None:
    job = store.claim("w")
    assert job is not None
    shutil.copy(spool.images / job.file, spool.results / f"{number}-sc.dcm")
    (spool.results / f"{number}-finding.json").write_text("{}")
    results = [
        ResultFile(kind="sc", sop_instance_uid="1.2", file=f"{number}-sc.dcm"),
        ResultFile(kind="finding", sop_instance_uid="", file=f"{number}-finding.json"),
    ]
    store.processed(job, "w", outcome=State.DONE, reason="", results=results, destinations=[])


def _holds(spool: Spool, *texts: str) -> bool:
    """Whether any byte of any file of the spool says so."""
    contents = [path.read_bytes() for path in spool.folder.rglob("*") if path.is_file()]
    return any(text.encode() in content for text in texts for content in contents)


def test_nothing_of_a_patient_stays_and_everything_of_others(
    spool: Spool, store: Store, uids: list[str]
) -> None:
    traces = (TO_FORGET, "ACC1", "ACC2", uids[0], uids[1])
    assert _holds(spool, *traces)
    planned = find(spool, store.database, Name.PATIENT, TO_FORGET)
    assert len(planned.files) == 6
    assert _holds(spool, *traces), "looking removes nothing"
    assert forget_all(spool, store.database, Name.PATIENT, TO_FORGET) == planned
    assert not _holds(spool, *traces), "neither in a file nor in what SQLite has deleted"
    (left,) = view.images(store.database, identify=True)
    assert (left["sop_instance_uid"], left["accession"]) == (uids[2], "ACC3")
    assert (len(list(spool.images.iterdir())), len(list(spool.results.iterdir()))) == (1, 2)
    assert forget_all(spool, store.database, Name.PATIENT, TO_FORGET).radiographs == []


def test_by_accession_number_study_and_instance_as_typed_or_as_the_logs_show_them(
    spool: Spool, store: Store, uids: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFMAP_UID_KEY", "secret")

    def found(name: Name, value: str) -> list[int]:
        named = find(spool, store.database, name, value)
        return [one.image_id for one in named.radiographs]

    study = str(dcmread(next(spool.results.glob("2-sc.dcm"))).StudyInstanceUID)
    assert found(Name.ACCESSION, "ACC3") == found(Name.ACCESSION, hashed_uid("ACC3")) == [3]
    assert found(Name.STUDY, study) == found(Name.STUDY, hashed_uid(study)) == [2]
    assert found(Name.INSTANCE, uids[0]) == found(Name.INSTANCE, hashed_uid(uids[0])) == [1]
    assert found(Name.PATIENT, hashed_uid(TO_FORGET)) == [1, 2]
    assert found(Name.PATIENT, "PAT-") == [], "a part of an ID names nobody"
    with pytest.raises(NodeError, match="everything without one"):
        found(Name.PATIENT, " ")


def test_whose_radiograph_is_gone_is_asked_of_its_results_and_else_said(
    spool: Spool, store: Store, uids: list[str]
) -> None:
    for file in spool.images.iterdir():
        file.unlink()
    assert len(find(spool, store.database, Name.PATIENT, TO_FORGET).radiographs) == 2
    (spool.results / "1-sc.dcm").unlink()
    assert find(spool, store.database, Name.PATIENT, TO_FORGET).unknown == [1]


def test_one_on_the_way_keeps_all_of_the_patient_from_being_forgotten(
    spool: Spool, store: Store, intake: Intake, uids: list[str], make_file: MakeFile
) -> None:
    _receive(intake, make_file(4, PatientID=TO_FORGET))
    for state in ("waiting", "working"):
        with pytest.raises(NodeError, match=f"4 is {state}"):
            forget_all(spool, store.database, Name.PATIENT, TO_FORGET)
        store.claim("w")
    assert len(view.images(store.database)) == 4
    assert forget_all(spool, store.database, Name.PATIENT, OTHER).radiographs
    assert uids[2] not in {
        one["sop_instance_uid"] for one in view.images(store.database, identify=True)
    }


def test_while_the_node_runs_what_is_just_being_received_is_waited_for(
    spool: Spool,
    store: Store,
    uids: list[str],
    make_file: MakeFile,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    half = spool.arriving / "half"
    half.write_bytes(make_file(5, PatientID=TO_FORGET).read_bytes()[:-1000])
    with monkeypatch.context() as patched:
        patched.setattr(forgetting, "is_running", lambda _: True)
        with pytest.raises(NodeError, match="just being received"):
            forget_all(spool, store.database, Name.PATIENT, TO_FORGET)
        assert forget_all(spool, store.database, Name.PATIENT, OTHER).radiographs
    forget_all(spool, store.database, Name.PATIENT, TO_FORGET)
    assert not _holds(spool, TO_FORGET), "what no running node receives is left from before"


@pytest.mark.parametrize("step", ["erase", "still_to_go", "sync_folder", "gone", "compact"])
def test_a_call_that_was_killed_is_finished_by_the_next(
    spool: Spool, store: Store, uids: list[str], step: str
) -> None:
    def forget_and_die() -> None:
        setattr(forgetting, step, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        forget_all(spool, Database(spool.database), Name.PATIENT, TO_FORGET)

    process = multiprocessing.get_context("fork").Process(target=forget_and_die)
    store.database.close()
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert _holds(spool, TO_FORGET, "ACC1", uids[0]), "it was killed before the end"
    forget_all(spool, store.database, Name.PATIENT, TO_FORGET)
    assert not _holds(spool, TO_FORGET, "ACC1", "ACC2", *uids[:2])
    assert len(view.images(store.database)) == 1


def test_the_command(
    spool: Spool,
    store: Store,
    uids: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "node.toml").write_text(
        '[node]\nspool = "spool"\n[[callers]]\nae_title = "A"\n[[models]]\nname = "m"\n'
        '[[rules]]\nname = "r"\nmodel = "m"\nto = []\n'
    )
    monkeypatch.chdir(tmp_path)

    def forget(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["infmap-kit", "node", "forget", *arguments])
        try:
            return exit_code_of(app)
        except SystemExit as end:
            return int(end.code or 0)

    assert forget("--patient-id", TO_FORGET, "--dry-run", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [one["id"] for one in document["radiographs"]] == [1, 2]
    assert TO_FORGET not in json.dumps(document)
    assert forget("--accession-number", "ACC1") == 0
    assert "Forgotten: 1 radiographs, 3 files" in capsys.readouterr().err
    assert forget("--patient-id", TO_FORGET, "--study-uid", "1.2", "--json") == 1
    assert json.loads(capsys.readouterr().out)["exit_code"] == 1
    assert [image["id"] for image in view.images(store.database)] == [3, 2]
