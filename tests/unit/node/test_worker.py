"""Processing: what is a radiograph's fault counts against it, what is not does not."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread

from infmap_kit.errors import ServerError
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.finding import COVID_19
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.node import worker as worker_module
from infmap_kit.node.config import Caller, Model, NodeConfig, NodeSection, Rule, StowDestination
from infmap_kit.node.intake import Intake
from infmap_kit.node.log import Troubles
from infmap_kit.node.queue import view
from infmap_kit.node.queue.store import Store
from infmap_kit.node.spool import Spool
from infmap_kit.node.worker import Worker
from infmap_kit.progression.course import line_up
from infmap_kit.progression.output.maps import small_map
from infmap_kit.progression.reading import read_spool
from node_host import radiograph_file
from other_finding import TUBERCULOSIS

RULE: dict[str, Any] = {"name": "chest", "model": "covid", "to": ["web"], "body_parts": ["CHEST"]}


class FakeClient:
    """A server that answers, refuses, or is not there, as the test likes."""

    is_there = True
    refuses = False
    versions: Iterator[str] = iter(())
    release: int | None = 1
    finding = COVID_19

    def __init__(self, url: str = "", **_: object) -> None:
        self.url = url

    def model(self) -> ModelIdentity:
        if not self.is_there:
            raise ServerError("no server answers")
        version = next(self.versions, "1")
        stated = {"model_name": "covid", "model_version": version}
        return ModelIdentity({**stated, **self.finding.as_parameters()})

    def image_size(self) -> int:
        return 224

    def infer(
        self,
        image: NDArray[np.uint8],
        canvas: Any = None,
        *,
        outputs: Collection[str] = (),
        where_served: Collection[str] = (),
    ) -> dict[str, Any]:
        if not self.is_there:
            raise ServerError("no server answers")
        if self.refuses:
            raise ServerError("the server refused")
        shape = (64, 64) if canvas is None else canvas.shape
        return {
            "DETECTED": np.uint8(1),
            "SEVERITY": np.float32(3),
            "PROBABILITY": np.full((224, 224), 0.7, np.float32),
            "INFECTION_MAP": np.zeros((*shape, 3), np.uint8),
        }

    def close(self) -> None:
        """Nothing to close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> type[FakeClient]:
    kind = type("Client", (FakeClient,), {})
    monkeypatch.setattr("infmap_kit.triton.client.InfmapClient", kind)
    return kind


MakeWorker = Callable[..., Worker]


@pytest.fixture
def make_worker(tmp_path: Path, spool: Spool, store: Store) -> Iterator[MakeWorker]:
    made = []

    def make(**rule: Any) -> Worker:
        config = NodeConfig(
            node=NodeSection(spool=tmp_path),
            callers=[Caller(ae_title="A")],
            models=[Model(name="covid")],
            destinations=[StowDestination(name="web", kind="stow-rs", url="http://pacs")],
            rules=[Rule(**{**RULE, **rule})],
        )
        made.append(Worker(config, spool, store, troubles=Troubles()))
        return made[-1]

    yield make
    for worker in made:
        worker.close()


@pytest.fixture
def arrive(tmp_path: Path, intake: Intake) -> Callable[..., int]:
    """Let a radiograph arrive; its number."""

    def accept(*, blank: bool = False, seed: int = 3, **tags: str) -> int:
        pixels = synthetic_radiograph(seed, height=200, width=180).radiograph.pixels
        file = radiograph_file(tmp_path, pixels * (not blank), 1, **tags)
        return intake.accept(file.rename(intake.spool.arriving / "part"), caller="A").image_id

    return accept


Arrive = Callable[..., int]


def _image(store: Store, number: int = 1) -> dict[str, Any]:
    return view.image(store.database, number)


def test_results_are_written_and_wait(
    make_worker: MakeWorker, arrive: Arrive, client: type[FakeClient], store: Store, spool: Spool
) -> None:
    arrive()
    worker = make_worker(outputs=["sc", "seg", "sr", "gsps"])
    assert worker.step() == 0
    assert _image(store)["state"] == "delivering"
    remaining, *files = sorted(spool.results.iterdir())
    assert [file.name for file in files] == ["1-gsps.dcm", "1-sc.dcm", "1-seg.dcm", "1-sr.dcm"]
    assert {dcmread(file).PatientID for file in files} == {"PAT-4711-1"}
    document = json.loads(remaining.read_text())
    assert (document["patient"], document["severity_percent"]) == ("PAT-4711-1", 3)
    sent = {delivery["kind"] for delivery in _image(store)["deliveries"]}
    assert sent == {"sc", "seg", "sr", "gsps"}, "the JSON stays here"
    assert worker.step() > 0, "nothing more to do"


def test_lists_name_what_is_doubtful_and_objects_have_the_mended_tags(
    make_worker: MakeWorker, arrive: Arrive, client: type[FakeClient], store: Store, spool: Spool
) -> None:
    """A single direction is no orientation: `infer` leaves it out of the Segmentation, and so does the node."""
    arrive(PatientOrientation="R")
    assert make_worker(outputs=["seg", "sr"]).step() == 0
    reason = _image(store)["reason"]
    assert reason.startswith("detected; warnings: ")
    assert "mended-tags" in reason
    assert not dcmread(spool.results / "1-seg.dcm").get("PatientOrientation")


def test_a_model_of_another_finding_is_spoken_of_in_its_words(
    make_worker: MakeWorker, arrive: Arrive, client: type[FakeClient], store: Store, spool: Spool
) -> None:
    client.finding = TUBERCULOSIS
    arrive()
    arrive(blank=True, seed=4)
    worker = make_worker(outputs=["sr"], rejects="report")
    assert worker.step() == worker.step() == 0
    assert _image(store, 1)["reason"] == "suspected"
    for name, is_about_it in (("1-sr.dcm", True), ("2-rejection.dcm", False)):
        reported = str(dcmread(spool.results / name))
        assert ("56717001" in reported) is is_about_it
        assert "COVID" not in reported


def test_the_report_of_a_rejection_waits_for_who_knows_its_finding(
    make_worker: MakeWorker, arrive: Arrive, client: type[FakeClient], store: Store
) -> None:
    client.is_there = False
    arrive(blank=True)
    worker = make_worker(rejects="report")
    assert worker.step() > 0
    assert _image(store)["state"] == "waiting"
    client.is_there = True
    assert worker.step() == 0
    assert _image(store)["state"] == "delivering"


def test_a_server_that_is_away_is_waited_for(
    make_worker: MakeWorker,
    arrive: Arrive,
    client: type[FakeClient],
    store: Store,
    caplog: pytest.LogCaptureFixture,
) -> None:
    arrive()
    worker = make_worker()
    client.is_there = False
    with caplog.at_level(logging.INFO, "infmap_kit.node"):
        pauses_s = [worker.step() for _ in range(20)]
        assert 0 < pauses_s[0] <= 1
        assert max(pauses_s) <= 15
        actual = _image(store)
        assert (actual["state"], actual["attempts"], actual["crashes"]) == ("waiting", 0, 0)
        client.is_there = True
        assert worker.step() == 0
    assert _image(store)["state"] == "delivering"
    troubles = [record.message for record in caplog.records if "covid" in record.message]
    assert troubles == ["model covid: no server answers", "model covid: well again"]


def test_a_radiograph_that_the_server_refuses_is_given_up(
    make_worker: MakeWorker, arrive: Arrive, client: type[FakeClient], store: Store
) -> None:
    arrive()
    client.refuses = True
    worker = make_worker()
    for _ in range(5):
        assert worker.step() == 0
    actual = _image(store)
    assert (actual["state"], actual["attempts"]) == ("failed", 5)
    assert actual["reason"] == "the server refused"


def test_the_finding_names_the_model_that_answered(
    make_worker: MakeWorker, arrive: Arrive, client: type[FakeClient], spool: Spool
) -> None:
    arrive()
    client.versions = iter(["2"])
    make_worker(outputs=["sr"]).step()
    (report,) = spool.results.glob("*.dcm")
    assert "model 2" in str(dcmread(report).SoftwareVersions)


@pytest.mark.parametrize(("rejects", "files"), [("report", ["1-rejection.dcm"]), ("keep", [])])
def test_what_is_no_radiograph_is_answered_if_so_set(
    make_worker: MakeWorker,
    arrive: Arrive,
    client: type[FakeClient],
    store: Store,
    spool: Spool,
    rejects: str,
    files: list[str],
) -> None:
    arrive(blank=True)
    make_worker(rejects=rejects).step()
    assert [file.name for file in spool.results.glob("*.dcm")] == files
    assert _image(store)["reason"].startswith("blank: ")
    assert _image(store)["state"] == ("delivering" if files else "rejected")
    remaining = json.loads((spool.results / "1-finding.json").read_text())
    assert remaining["rejected"]["code"] == "blank"


def test_what_is_kept_of_a_patient_makes_a_course(
    make_worker: MakeWorker, arrive: Arrive, client: type[FakeClient], store: Store, spool: Spool
) -> None:
    """And retention takes it away with the rest."""
    dates = ("20260105", "20260101", "20260103")
    for seed, date in enumerate(dates):
        arrive(PatientID="ONE", StudyDate=date, seed=seed)
    arrive(PatientID="OTHER")
    arrive(PatientID="ONE", blank=True)
    worker = make_worker(rejects="keep", to=[])
    for _ in range(5):
        assert worker.step() == 0
    reading = read_spool(spool.folder, "ONE")
    course = line_up(reading)
    days = [f"{point.result.taken:%Y%m%d}" for point in course.points]
    assert days == sorted(dates)
    assert [one.reason.split(":")[1].strip() for one in reading.skipped] == ["blank"]
    assert [one.shape[2] for point in course.points if (one := small_map(point.result)) is not None]
    names = {name for number in range(1, 6) for name in store.forget(number)}
    assert {f"{number}-finding.json" for number in range(1, 6)} <= names


def test_what_no_rule_fits_is_ignored(
    make_worker: MakeWorker, arrive: Arrive, client: type[FakeClient], store: Store
) -> None:
    arrive(body_part="HAND")
    make_worker().step()
    assert _image(store)["state"] == "ignored"


def test_a_disk_without_room_for_results_is_waited_for(
    make_worker: MakeWorker,
    arrive: Arrive,
    client: type[FakeClient],
    store: Store,
    spool: Spool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrive()

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(worker_module, "settle", fail)
    worker = make_worker()
    assert worker.step() > 0
    actual = _image(store)
    assert (actual["state"], actual["attempts"]) == ("waiting", 0)
    assert "No space left" in actual["reason"]
    assert list(spool.results.iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setattr("infmap_kit.triton.client.InfmapClient", client)
    worker.step()
    assert _image(store)["state"] == "delivering"


def test_a_fault_that_one_radiograph_brings_to_light_stops_no_other(
    make_worker: MakeWorker,
    arrive: Arrive,
    client: type[FakeClient],
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrive()

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("Geheim^Gustav")

    monkeypatch.setattr("infmap_kit.results.dicom.results.dicom_results", fail)
    worker = make_worker()
    for _ in range(5):
        worker.step()
    assert _image(store)["state"] == "failed"
    assert _image(store)["reason"] == "its results cannot be written: ZeroDivisionError"
    assert "Geheim" not in str(_image(store))


def test_a_file_that_is_gone_is_said(
    make_worker: MakeWorker, arrive: Arrive, client: type[FakeClient], store: Store, spool: Spool
) -> None:
    arrive()
    next(spool.images.iterdir()).unlink()
    worker = make_worker()
    for _ in range(5):
        worker.step()
    assert _image(store)["reason"] == "its file is gone from the spool"
