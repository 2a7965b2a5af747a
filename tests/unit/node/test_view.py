"""What a person finds out afterwards: who was refused, why, and how to take it up again."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from pathlib import Path

import pytest
from pydicom import Dataset

from infmap_kit.cli.app import app
from infmap_kit.command import exit_code_of
from infmap_kit.errors import InputRejected, ServerError
from infmap_kit.imaging.radiograph import Reason
from infmap_kit.node.config import Rule
from infmap_kit.node.dicom.refusals import Refusals
from infmap_kit.node.dicom.request import Rejection
from infmap_kit.node.queue import view
from infmap_kit.node.queue.about import Figures
from infmap_kit.node.queue.callers import add_refused, refused_callers
from infmap_kit.node.queue.states import State
from infmap_kit.node.queue.store import Store
from infmap_kit.node.reasons import in_node_words, model_trouble, why_none_fits

FIGURES = Figures(severity_percent=12.5, severity_of="lungs", grade="mild", probability_max=0.91)
WRONG_TITLE = Rejection(answer=(1, 1, 7), kind="another AE title was called", detail="found 'X'")


def _enter(store: Store, number: int, state: State, reason: str, accession: str = "") -> int:
    added = store.add(
        sop_instance_uid=f"1.2.{number}", sha256="", file=f"{number}.dcm", size_bytes=1, caller="A",
        accession=accession,
    )  # fmt: skip
    job = store.claim("w")
    assert job is not None
    if state is State.FAILED:
        store.attempt_failed(job, "w", reason, max_attempts=1)
    elif state is State.IGNORED:
        store.ignore(job, "w", reason)
    else:
        figures = FIGURES if state is State.DONE else None
        store.processed(
            job, "w", outcome=state, reason=reason, results=[], destinations=[], figures=figures
        )
    assert isinstance(added, int)
    return added


@pytest.fixture
def entered(store: Store) -> Store:
    """One done, two failed for two reasons, one rejected, one ignored: 1 to 5."""
    _enter(store, 1, State.DONE, "detected", accession="4711")
    _enter(store, 2, State.FAILED, "the server refused")
    _enter(store, 3, State.FAILED, "not delivered to pacs")
    _enter(store, 4, State.REJECTED, "child: of 7")
    _enter(store, 5, State.IGNORED, "no rule fits it")
    return store


def test_a_list_shows_the_figures_and_the_accession_number_as_far_as_it_may(
    entered: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INFMAP_UID_KEY", raising=False)
    *_, done = view.images(entered.database)
    expected = dataclasses.asdict(FIGURES)
    assert {key: done[key] for key in expected} == expected
    assert done["accession"] == "", "numbers that are counted up are found by trying all of them"
    assert view.image(entered.database, 1, identify=True)["accession"] == "4711"
    monkeypatch.setenv("INFMAP_UID_KEY", "secret")
    shown = view.image(entered.database, 1)["accession"]
    assert shown.startswith("hmac-sha256:")
    assert "4711" not in shown


def test_figures_of_an_answer_that_is_asked_for_anew_are_forgotten(entered: Store) -> None:
    entered.retry(1)
    assert view.image(entered.database, 1)["severity_percent"] is None


def _node(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    config = folder / "node.toml"
    config.write_text(
        f'[node]\nspool = "{folder}/spool"\n[[callers]]\nae_title = "A"\n[[models]]\nname = "m"\n'
        '[[rules]]\nname = "r"\nmodel = "m"\nto = []\n'
    )
    monkeypatch.setattr(sys, "argv", ["infmap-kit", "node", *arguments, "-c", str(config)])
    try:
        return exit_code_of(app)
    except SystemExit as end:
        return int(end.code or 0)


def test_the_worklist_holds_what_somebody_should_look_at(
    entered: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    refusals = Refusals()
    refusals.add(WRONG_TITLE, address="10.1.0.7", caller="XRAY", called="X")
    add_refused(entered.database, refusals.take_callers())
    assert _node(tmp_path, monkeypatch, "worklist", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [(row["id"], row["state"]) for row in document["radiographs"]] == [
        (4, "rejected"), (3, "failed"), (2, "failed"),
    ]  # fmt: skip
    (caller,) = document["refused_callers"]
    assert (caller["caller"], caller["called"], caller["times"]) == ("XRAY", "X", 1)


def test_all_of_a_state_and_a_reason_are_taken_up_at_once(
    entered: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    because = ("--because", "server refused")
    assert _node(tmp_path, monkeypatch, "retry", "--state", "failed", *because, "--json") == 0
    assert json.loads(capsys.readouterr().out)["retried"] == {"2": "waiting"}
    assert _node(tmp_path, monkeypatch, "retry", "4", "99", "5", "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["retried"] == {"4": "waiting", "5": "waiting"}
    assert document["problems"] == ["there is no radiograph 99: see `infmap-kit node list`"]
    assert _node(tmp_path, monkeypatch, "retry", "--state", "done") == 1
    assert view.overview(entered.database).images["done"] == 1, "not all that were done, by mistake"


def test_each_refusal_is_counted_and_a_wrong_title_hides_no_other(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    now = 1000.0
    monkeypatch.setattr("infmap_kit.node.dicom.refusals.time.monotonic", lambda: now)
    refusals = Refusals()
    with caplog.at_level(logging.WARNING, "infmap_kit.node"):
        for _ in range(5):
            refusals.add(WRONG_TITLE, address="10.1.0.7", caller="XRAY", called="X")
        refusals.add(WRONG_TITLE, address="10.1.0.7", caller="XRAY", called="Y")
        now += 61
        refusals.add(WRONG_TITLE, address="10.1.0.7", caller="XRAY", called="X")
    lines = [record.__dict__["fields"].get("times_before") for record in caplog.records]
    assert lines == [None, None, 4], "once a minute, and how often in between"
    add_refused(store.database, refusals.take_callers())
    actual = {row["called"]: row["times"] for row in refused_callers(store.database)}
    assert actual == {"X": 6, "Y": 1}


def test_a_stranger_with_many_titles_fills_neither_log_nor_disk(
    caplog: pytest.LogCaptureFixture, store: Store
) -> None:
    refusals = Refusals()
    with caplog.at_level(logging.WARNING, "infmap_kit.node"):
        for number in range(3000):
            refusals.add(WRONG_TITLE, address="10.1.0.7", caller=str(number), called="X")
    assert len(caplog.records) < 100
    add_refused(store.database, refusals.take_callers())
    assert len(refused_callers(store.database)) == 200
    assert sum(refusals.take().values()) == 3000


def test_addresses_are_logged_after_a_thousand_others(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr("infmap_kit.node.dicom.refusals.time.monotonic", lambda: now)
    monkeypatch.setattr("infmap_kit.node.dicom.bounds.time.monotonic", lambda: now)
    refusals = Refusals()
    for number in range(2000):
        refusals.add(WRONG_TITLE, address=f"10.2.{number // 250}.{number % 250}")
    now += 3600
    caplog.clear()
    with caplog.at_level(logging.WARNING, "infmap_kit.node"):
        refusals.add(WRONG_TITLE, address="10.1.0.7")
    assert [record.__dict__["fields"]["address"] for record in caplog.records] == ["10.1.0.7"]


def test_reasons_name_the_keys_of_the_nodes_file() -> None:
    chest = Rule(name="chest", model="m", to=[], modalities=["CR", "DX"], body_parts=["CHEST", ""])
    rejection = InputRejected(
        Reason.SECONDARY_CAPTURE, "found one: --secondary-capture reads those too"
    )
    assert in_node_words(rejection, chest).reason == (
        "found one: secondary_captures = true in rule 'chest' reads those too"
    )
    header = Dataset()
    header.Modality, header.BodyPartExamined = "CR", "KNEE"
    assert why_none_fits([chest], header, "A") == (
        "no rule fits it: 'chest' takes body_parts CHEST, none and not KNEE"
    )
    away = ServerError("no server answers: start one, or name it with --url")
    assert model_trouble(away).endswith("give its url in [[models]]")
    header.BodyPartExamined = "GEHEIM"
    assert "GEHEIM" not in why_none_fits([chest], header, "A"), "it may be a person's name"
