"""Picking, rejecting, drawing, skipping and undoing, as a page does it by HTTP."""

from __future__ import annotations

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from doctors import HEIGHT, WIDTH, Doctor, OpenSite, Site, blob, decoded, drawing, encoded
from infmap_annotate.study.candidates import add_model
from infmap_annotate.study.masks import decode_mask
from infmap_annotate.study.readers import add_reader
from patience import PATIENCE_S


def _code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def _file_of(site: Site, candidate: int) -> Any:
    (row,) = site.study.database.reading().execute(
        "SELECT * FROM candidate WHERE id = ?", (candidate,)
    )
    return row


def test_a_pick_is_recorded_with_all_that_was_shown(open_site: OpenSite) -> None:
    site = open_site(drawn=2)
    anna = site.enter("anna")
    item = anna.item()
    assert (item["width"], item["height"], item["stage"]) == (WIDTH, HEIGHT, 1)
    assert (item["number"], item["total"]) == (1, 2)
    seen = anna.masks(item)
    anna.decide("pick", 2)
    (row,) = site.decisions()
    assert (row["kind"], row["slot"], row["elapsed_ms"], row["tab"]) == ("pick", 2, 1200, "tab-1")
    assert row["started_at"] <= row["decided_at"]
    shown = [_file_of(site, number) for number in json.loads(row["order_shown"])]
    assert row["candidate_id"] == shown[1]["id"]
    # What was sent at each slot is what the row says was shown there.
    stored = [decode_mask((site.study.folder / "masks" / c["file"]).read_bytes()) for c in shown]
    assert all((a == b).all() for a, b in zip(seen, stored, strict=True))


def test_the_radiograph_comes_pixel_for_pixel_and_without_its_files_text(
    open_site: OpenSite,
) -> None:
    site = open_site(drawn=1)
    anna = site.enter("anna")
    content = anna.get(anna.item()["image"]).content
    (picture,) = site.study.pictures()
    assert (decoded(content) == decoded(site.study.image_path(picture).read_bytes())).all()


def test_a_whole_list_to_its_end_and_back(open_site: OpenSite) -> None:
    anna = open_site(drawn=3).enter("anna")
    names = []
    for _ in range(3):
        item = anna.item()
        names.append(item["item"])
        following = anna.get(f"/api/items/{item['item']}/following").json()["item"]
        assert anna.decide("pick", 1)["item"] == following
    assert len(set(names)) == 3
    end = anna.item()
    assert end["item"] is None
    assert end["progress"] == {"done": 3, "total": 3, "skipped": 0}
    for name in reversed(names):
        back = anna.post(item=anna.item()["item"], kind="undo").json()["next"]
        assert back["item"] == name
        assert back["previous"] == {"kind": "pick", "slot": 1}
    assert not anna.item()["can_undo"]
    assert _code(anna.post(item=anna.item()["item"], kind="undo")) == (409, "nothing-to-undo")


def test_what_is_skipped_comes_last_and_the_oldest_first(open_site: OpenSite) -> None:
    anna = open_site(drawn=3).enter("anna")
    first = anna.item()["item"]
    second = anna.decide("skip")["item"]
    third = anna.decide("skip")
    assert third["progress"] == {"done": 0, "total": 3, "skipped": 2}
    assert anna.decide("pick", 1)["item"] == first
    assert anna.decide("skip")["item"] == second
    assert anna.decide("pick", 1)["item"] == first
    assert anna.decide("pick", 1)["item"] is None


def test_a_rejected_radiograph_stays_until_it_is_drawn(open_site: OpenSite) -> None:
    site = open_site(drawn=0, bare=2)
    anna = site.enter("anna")
    item = anna.item()
    assert item["may_reject"]
    rejected = anna.decide("reject")
    assert (rejected["item"], rejected["rejected"]) == (item["item"], True)
    assert _code(anna.post(item=item["item"], kind="pick", slot=1)) == (409, "decided-elsewhere")
    back = anna.post(item=item["item"], kind="undo").json()["next"]
    assert (back["item"], back["rejected"]) == (item["item"], False)
    anna.decide("reject")
    mask = blob(77)
    answer = anna.put(item["item"], drawing(mask), from_slot=2)
    assert answer.status_code == 200, answer.text
    assert answer.json()["next"]["item"] != item["item"]
    row = site.decisions()[-1]
    kept = _file_of(site, row["candidate_id"])
    assert kept["kind"] == "reader"
    stored = decode_mask((site.study.folder / "masks" / kept["file"]).read_bytes())
    assert stored.shape == (HEIGHT, WIDTH)
    assert (stored == mask).all()
    assert row["begun_from_id"] == json.loads(row["order_shown"])[1]


def test_stage_one_is_rejected_only_where_the_study_says_so(open_site: OpenSite) -> None:
    anna = open_site(drawn=1).enter("anna")
    item = anna.item()["item"]
    assert _code(anna.post(item=item, kind="reject")) == (422, "may-not-reject")
    assert _code(anna.put(item, drawing(blob(1)))) == (422, "may-not-draw")
    assert not anna.item()["may_draw"]


def test_stage_one_with_drawing(open_site: OpenSite) -> None:
    anna = open_site(drawn=1, draw_in_stage_one=True).enter("anna")
    assert anna.decide("reject")["rejected"]


def test_an_answer_that_was_lost_is_asked_for_again_and_nothing_counts_twice(
    open_site: OpenSite,
) -> None:
    site = open_site(drawn=1, bare=1)
    anna = site.enter("anna")
    item = anna.item()["item"]
    first, again = (anna.post(item=item, kind="pick", slot=1, key="once") for _ in range(2))
    assert (again.status_code, again.json()) == (200, first.json())
    item = anna.item()["item"]
    first, again = (anna.put(item, drawing(blob(5)), key="drawn once") for _ in range(2))
    assert (again.status_code, again.json()["decision"]) == (200, first.json()["decision"])
    assert [row["kind"] for row in site.decisions()] == ["pick", "draw"]


def test_two_tabs_of_one_doctor(open_site: OpenSite) -> None:
    site = open_site(drawn=3)
    one = site.enter("anna", tab="one")
    other = Doctor(one.url, one.session, tab="other")
    stale = other.item()["item"]
    after = one.decide("pick", 1)["item"]
    assert _code(other.post(item=stale, kind="pick", slot=2)) == (409, "decided-elsewhere")
    assert _code(other.post(item=stale, kind="undo")) == (410, "not-current")
    last = one.decide("pick", 1)["item"]
    one.post(item=last, kind="undo")
    # The other tab stands on what has not come yet.
    assert _code(other.post(item=last, kind="skip")) == (410, "not-current")
    assert one.item()["item"] == after
    assert [row["kind"] for row in site.decisions()] == ["pick", "pick", "undo"]


def test_tabs_that_decide_at_once_leave_one_decision(open_site: OpenSite) -> None:
    site = open_site(drawn=1)
    anna = site.enter("anna")
    item = anna.item()["item"]
    tabs = [Doctor(anna.url, anna.session, tab=f"tab-{number}") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda tab: tab.post(item=item, kind="pick", slot=1), tabs))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    assert len(site.decisions()) == 1


def test_doctors_have_orders_of_their_own_that_stay(open_site: OpenSite) -> None:
    site = open_site(drawn=12, models=["a", "b", "c", "d", "e"])

    def walk(name: str) -> tuple[list[int], list[str]]:
        doctor = site.enter(name)
        start = len(site.decisions())
        while doctor.item()["item"] is not None:
            doctor.decide("skip")
            if doctor.item()["progress"]["skipped"] == 12:
                break
        rows = site.decisions()[start:]
        return [row["picture_id"] for row in rows], [
            row["order_shown"] for row in sorted(rows, key=lambda r: r["picture_id"])
        ]

    anna, ben = walk("anna"), walk("ben")
    assert sorted(anna[0]) == sorted(ben[0])
    assert anna[0] != ben[0]
    assert sum(a != b for a, b in zip(anna[1], ben[1], strict=True)) >= 8
    # A mask's place tells nothing: the drawn one is first in the study, and anywhere on the page.
    places = {json.loads(order).index(min(json.loads(order))) for order in anna[1] + ben[1]}
    assert len(places) >= 4
    # Somebody who joins moves nobody else's list.
    with site.study.writing() as sql:
        add_reader(sql, "dora", "first")
    assert [row["picture_id"] for row in site.decisions()[:12]] == anna[0]


def test_nobody_is_taken_to_have_seen_masks_that_came_later(open_site: OpenSite) -> None:
    site = open_site(drawn=1)
    anna = site.enter("anna")
    stale = anna.item()["item"]
    add_model(site.study, "late", 1, {1: blob(99)}, {"made_by": "tests"})
    assert _code(anna.post(item=stale, kind="pick", slot=1)) == (410, "not-current")
    assert _code(anna.get(f"/api/items/{stale}/masks/1.png")) == (410, "not-current")
    assert _code(anna.put(stale, drawing(blob(1)) + bytes(10**6))) == (410, "not-current")
    fresh = anna.item()
    assert len(fresh["candidates"]) == 4
    anna.decide("pick", 1)


def test_the_third_reader_is_asked_about_disputes_alone(open_site: OpenSite) -> None:
    site = open_site(drawn=2, third=["cara"], dice_bound=1.0)
    anna, ben, cara = (site.enter(name) for name in ("anna", "ben", "cara"))
    assert cara.item()["item"] is None
    for doctor, kinds in ((anna, ("drawn", "drawn")), (ben, ("drawn", "model"))):
        for picture, kind in zip((1, 2), kinds, strict=True):
            while True:
                item = doctor.item()
                rows = (
                    site.study.database.reading()
                    .execute(
                        "SELECT * FROM candidate WHERE picture_id = ? AND kind = ?", (picture, kind)
                    )
                    .fetchall()
                )
                files = [
                    decode_mask((site.study.folder / "masks" / r["file"]).read_bytes())
                    for r in rows
                ]
                slots = [
                    slot for slot, mask in enumerate(doctor.masks(item), start=1)
                    if (mask == files[0]).all()
                ]  # fmt: skip
                if slots:
                    doctor.decide("pick", slots[0])
                    break
                doctor.decide("skip")
    item = cara.item()
    assert (item["queue"], item["total"], len(item["candidates"])) == ("third", 1, 2)
    assert item["may_reject"]
    assert cara.decide("pick", 1)["item"] is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"item": "nothing-of-ours"}, (404, "unknown-item")),
        ({"slot": 0}, (422, "bad-slot")),
        ({"slot": 7}, (422, "bad-slot")),
        ({"slot": "1"}, (400, "bad-request")),
        ({"slot": None}, (400, "bad-request")),
        ({"slot": True}, (400, "bad-request")),
        ({"kind": "delete"}, (400, "bad-request")),
        ({"item": 3}, (400, "bad-request")),
        ({"elapsed_ms": -1}, (400, "bad-request")),
        ({"elapsed_ms": "soon"}, (400, "bad-request")),
        ({"elapsed_ms": 1e300}, (400, "bad-request")),
        ({"tab": "x" * 65}, (400, "bad-request")),
        ({"tab": ["x"]}, (400, "bad-request")),
        ({"key": "k" * 5000}, (413, "too-large")),
    ],
    ids=str,
)
def test_a_request_that_means_nothing_is_refused(
    open_site: OpenSite, change: dict[str, Any], expected: tuple[int, str]
) -> None:
    site = open_site(drawn=1)
    anna = site.enter("anna")
    decision = {"item": anna.item()["item"], "kind": "pick", "slot": 1, **change}
    assert _code(anna.post(**decision)) == expected
    assert site.decisions() == []


def test_a_body_that_is_no_object_of_texts_is_refused(open_site: OpenSite) -> None:
    anna = open_site(drawn=1).enter("anna")
    item = anna.item()["item"]
    halves = (
        {"item": "\ud800"},
        {"tab": "\udfff"},
        {"key": "\ud800"},
        {"kind": "undo", "item": "\udc00"},
    )
    bodies = [
        *(b"", b"[]", b"null", b"{", b"\xff\xfe", b"1" * 500),
        *(b"[" * depth + b"]" * depth for depth in (1000, 2040)),
        *(b'{"kind":' + b"[" * depth + b"]" * depth + b"}" for depth in (990, 2000)),
        b"[" * 4000,
        *(json.dumps({"item": item, "kind": "skip", **half}).encode() for half in halves),
        json.dumps({"item": item, "kind": "skip", "\ud800": 1}).encode(),
    ]
    for body in bodies:
        answer = anna.session.post(f"{anna.url}/api/decisions", data=body, timeout=PATIENCE_S)
        assert _code(answer) == (400, "bad-request"), body[:40]
    assert anna.item()["item"] == item


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (drawing(blob(0, 71, WIDTH)), (422, "bad-drawing")),
        (b"GIF89a", (415, "not-png")),
        (b"", (415, "not-png")),
        (encoded(np.zeros((HEIGHT, WIDTH, 3), np.uint8)), (422, "bad-drawing")),
        (drawing(blob(0)) + bytes(200_000), (413, "too-large")),
    ],
    ids=["another size", "a GIF", "nothing", "colour", "too large"],
)
def test_a_bad_drawing_is_refused_and_leaves_nothing(
    open_site: OpenSite, content: bytes, expected: tuple[int, str]
) -> None:
    site = open_site(drawn=0, bare=1)
    anna = site.enter("anna")
    before = sorted((site.study.folder / "masks").iterdir())
    answer = anna.put(anna.item()["item"], content)
    assert _code(answer) == expected
    assert sorted((site.study.folder / "masks").iterdir()) == before
    assert site.decisions() == []
    assert "expected" in answer.json()["error"]["message"]


def test_a_mask_whose_file_is_damaged_is_said_to_be_missing_and_cannot_be_picked(
    open_site: OpenSite,
) -> None:
    site = open_site(drawn=1)
    anna = site.enter("anna")
    for file in site.study.folder.joinpath("masks").iterdir():
        if file.name == _file_of(site, 1)["file"]:
            file.write_bytes(b"damaged")
    item = anna.item()
    assert item["missing"] == ["1 of 3 masks cannot be shown: tell whoever runs the study."]
    (lost,) = {1, 2, 3} - {candidate["slot"] for candidate in item["candidates"]}
    assert anna.get(f"/api/items/{item['item']}/masks/{lost}.png").status_code == 404
    assert _code(anna.post(item=item["item"], kind="pick", slot=lost)) == (422, "missing-mask")
    anna.decide("pick", item["candidates"][0]["slot"])


def test_a_radiograph_that_was_changed_is_not_shown_and_can_be_skipped(open_site: OpenSite) -> None:
    site = open_site(drawn=2)
    anna = site.enter("anna")
    for picture in site.study.pictures():
        path = site.study.image_path(picture)
        path.write_bytes(path.read_bytes() + b"\0")
    item = anna.item()
    assert "The radiograph cannot be shown" in item["missing"][0]
    assert _code(anna.get(item["image"])) == (404, "missing-image")
    assert _code(anna.post(item=item["item"], kind="pick", slot=1)) == (422, "missing-image")
    anna.decide("skip")


@pytest.mark.parametrize("table", ["decision", "candidate", "picture", "model"])
@pytest.mark.parametrize("change", ["DELETE FROM {}", "UPDATE {} SET id = id + 1000"])
def test_nothing_that_was_written_can_be_changed(
    open_site: OpenSite, table: str, change: str
) -> None:
    site = open_site(drawn=1)
    site.enter("anna").decide("pick", 1)
    with pytest.raises(sqlite3.IntegrityError, match="never changed"):
        site.study.database.reading().execute(change.format(table))


def test_a_study_that_is_locked_for_long_answers_busy_and_goes_on(
    open_site: OpenSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infmap_annotate.study.database._BUSY_S", 0.1)
    site = open_site(drawn=1)
    anna = site.enter("anna")
    item = anna.item()["item"]
    other = sqlite3.connect(site.study.folder / "study.sqlite", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert _code(anna.post(item=item, kind="pick", slot=1)) == (503, "busy")
    other.execute("ROLLBACK")
    other.close()
    anna.decide("pick", 1)
