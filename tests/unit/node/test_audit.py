"""Who received and sent what stands in the audit log, without a name; a lost log stops nothing, but is seen."""

from __future__ import annotations

import datetime as dt
import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from infmap_kit.imaging.dicom.identity import hashed_uid
from infmap_kit.node.audit.messages import AuditedObject
from infmap_kit.node.audit.trail import Trail
from infmap_kit.node.check.look import CheckState
from infmap_kit.node.check.machine import look_at_machine
from infmap_kit.node.config import NodeConfig
from infmap_kit.node.custody.forgetting import Name, forget_all
from infmap_kit.node.dicom.refusals import Refusals
from infmap_kit.node.dicom.request import Rejection
from infmap_kit.node.intake import Intake
from infmap_kit.node.queue.states import State
from infmap_kit.node.queue.store import Store
from infmap_kit.node.queue.view import Overview
from infmap_kit.node.spool import Spool
from infmap_kit.node.web.metrics import Metrics
from infmap_kit.node.web.page import page as status_html
from node_status import node_status

from .conftest import MakeFile


def _config(spool: Spool, **audit: Any) -> NodeConfig:
    return NodeConfig.model_validate(
        {
            "node": {"spool": spool.folder},
            "callers": [{"ae_title": "A"}],
            "models": [{"name": "m"}],
            "rules": [{"name": "r", "model": "m", "to": []}],
            "destinations": [
                {"name": "pacs", "kind": "c-store", "host": "pacs.hospital", "port": 104, "ae_title": "PACS"},
                {"name": "web", "kind": "stow-rs", "url": "https://archive.hospital/dicom-web"},
            ],
            "audit": audit,
        }
    )  # fmt: skip


def _records(folder: Path) -> list[dict[str, Any]]:
    lines = [line for file in sorted(folder.iterdir()) for line in file.read_text().splitlines()]
    return [json.loads(line) for line in lines if line]


def _told(record: dict[str, Any]) -> tuple[str, str, int]:
    event = record["EventIdentification"]
    return (
        event["EventID"]["originalText"], event["EventActionCode"], event["EventOutcomeIndicator"]
    )  # fmt: skip


@pytest.mark.parametrize("key", ["", "secret"])
def test_what_arrives_and_goes_is_told_without_a_name(
    spool: Spool, store: Store, make_file: MakeFile, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("INFMAP_UID_KEY", key)
    config = _config(spool)
    trail = Trail(config)
    intake = Intake(spool, store, keep_free_bytes=2**20, trail=trail)
    file = make_file(1)
    for _ in range(2):
        part = spool.arriving / "part"
        shutil.copy(file, part)
        intake.accept(part, caller="XRAY", address="10.1.0.7")
    for destination in config.destinations:
        trail.sending(AuditedObject(study="s", instance="i", sop_class="c"), destination)
        trail.sent(
            AuditedObject(study="s", instance="i", sop_class="c"), destination, is_stored=False
        )
    job = store.claim("w")
    assert job is not None
    store.processed(job, "w", outcome=State.DONE, reason="", results=[], destinations=[])
    source = dcmread(file)
    forget_all(spool, store.database, Name.PATIENT, source.PatientID, trail=trail)
    records = _records(spool.folder / "audit")
    transferred, begun = "DICOM Instances Transferred", "Begin Transferring DICOM Instances"
    assert [_told(record) for record in records] == [
        (transferred, "C", 0), (transferred, "R", 0),
        *[(begun, "E", 0), (transferred, "R", 4)] * 2,
        ("DICOM Instances Accessed", "D", 0),
    ]  # fmt: skip
    sender, receiver = records[0]["ActiveParticipant"]
    assert (sender["UserID"], sender["NetworkAccessPointID"]) == ("XRAY", "10.1.0.7")
    assert sender["NetworkAccessPointTypeCode"] == 2
    assert receiver["UserID"] == "INFMAP"
    ends = [record["ActiveParticipant"][1]["UserID"] for record in records[2:6]]
    assert ends == ["PACS"] * 2 + ["https://archive.hospital/dicom-web"] * 2
    for record in (records[0], records[-1]):
        study, *patient = record["ParticipantObjectIdentification"]
        assert study["ParticipantObjectID"] == hashed_uid(source.StudyInstanceUID)
        (sop_class,) = study["SOPClass"]
        assert sop_class["Instance"] == [{"UID": hashed_uid(source.SOPInstanceUID)}]
        # Without a key, trying all Patient IDs would turn a hash back.
        hashes = [hashed_uid(source.PatientID)] if key else []
        assert [one["ParticipantObjectID"] for one in patient] == hashes
    written = json.dumps(records)
    for secret in (source.PatientID, "Geheim", source.SOPInstanceUID, source.StudyInstanceUID):
        assert str(secret) not in written


def test_a_refused_caller_is_a_security_alert_as_often_as_it_is_logged(spool: Spool) -> None:
    refusals = Refusals(Trail(_config(spool)))
    stranger = Rejection(answer=(1, 1, 3), kind="the caller is not on the list", detail="…")
    for _ in range(50):
        refusals.add(stranger, address="10.9.9.9", caller="EVIL", called="INFMAP")
    (record,) = _records(spool.folder / "audit")
    assert _told(record) == ("Security Alert", "E", 4)
    assert (
        record["EventIdentification"]["EventTypeCode"][0]["originalText"] == "Node Authentication"
    )
    assert record["ActiveParticipant"][1]["UserID"] == "EVIL"
    assert record["ActiveParticipant"][1]["NetworkAccessPointID"] == "10.9.9.9"
    assert "not on the list" in json.dumps(record)


def test_a_day_has_its_file_and_the_last_ones_stay(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trail = Trail(_config(spool, folder=tmp_path / "log" / "audit", days=3))
    days = [dt.datetime(2026, 11, day, 23, tzinfo=dt.UTC) for day in (1, 2, 3, 9, 9)]
    # A clock that is set decades ahead for a moment makes the others no older.
    for day in (*days, dt.datetime(2066, 1, 1, tzinfo=dt.UTC), days[-1]):

        class Clock(dt.datetime):
            @classmethod
            def now(cls, tz: dt.tzinfo | None = None) -> Clock:
                return cls.fromtimestamp(day.timestamp(), tz)  # noqa: B023  # called in this very round

        with monkeypatch.context() as patched:
            patched.setattr("infmap_kit.node.audit.trail.dt.datetime", Clock)
            trail.started()
    files = sorted(trail.folder.iterdir())
    assert [file.name[6:16] for file in files] == ["2026-11-03", "2026-11-09", "2066-01-01"]
    assert len(files[1].read_text().splitlines()) == 3
    assert trail.folder.stat().st_mode & 0o777 == 0o700
    assert files[0].stat().st_mode & 0o777 == 0o600


def test_by_the_systems_log_when_asked(spool: Spool, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log"))
        Trail(_config(spool, to="syslog", syslog=tmp_path / "log")).started()
        line = log.recv(65536).decode()
    assert line.startswith("<85>infmap-audit: {")
    record = json.loads(line.partition(": ")[2])
    assert record["EventIdentification"]["EventTypeCode"][0]["csd-code"] == "110120"
    Trail(_config(spool, to="off")).started()
    assert not (spool.folder / "audit").exists()


def test_a_lost_log_stops_no_radiograph_and_is_seen_and_told_when_it_is_back(
    spool: Spool, store: Store, make_file: MakeFile, tmp_path: Path
) -> None:
    (tmp_path / "log").write_text("no folder")
    trail = Trail(_config(spool, folder=tmp_path / "log"))
    intake = Intake(spool, store, keep_free_bytes=2**20, trail=trail)
    for number in range(2):
        part = spool.arriving / "part"
        shutil.copy(make_file(number), part)
        assert intake.accept(part, caller="A").is_new
    nothing = Overview(images={}, deliveries={}, counters={})
    metrics = Metrics(lambda: nothing, lambda: 1, lost=lambda: trail.lost).text().decode()
    assert "infmap_node_audit_lost_total 2.0" in metrics
    warning = f"audit log: {trail.trouble}"
    assert "it cannot be written" in warning
    assert warning in status_html({**node_status(), "warnings": [warning]})
    (tmp_path / "log").unlink()
    trail.started()
    assert trail.trouble == ""
    *_, back = _records(tmp_path / "log")
    assert (
        back["EventIdentification"]["EventTypeCode"][0]["originalText"] == "Audit Recording Started"
    )
    assert "could not be written before: 2" in json.dumps(back)


def test_check_says_where_it_goes_and_whether_it_can(spool: Spool, tmp_path: Path) -> None:
    def verdict(**audit: Any) -> CheckState:
        looks = [one for one in look_at_machine(_config(spool, **audit)) if one.what == "audit log"]
        return looks[0].verdict

    assert verdict() is CheckState.GOOD
    assert verdict(to="off") is CheckState.NOTE
    assert verdict(to="syslog", syslog=tmp_path / "nowhere") is CheckState.FAULT
