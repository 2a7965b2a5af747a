"""The paper's two stages (II-B), from the first sign-in to the last radiograph: two doctors and a third."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import BrowserContext

from annotation import (
    Case,
    Command,
    Doctor,
    make_study,
    real_cases,
    served,
    signed_in,
    synthetic_cases,
)

STAGE_ONE, ALL = 6, 12


@pytest.fixture(params=["real", "synthetic"])
def cases(request: pytest.FixtureRequest) -> list[Case]:
    if request.param == "real":
        return real_cases(request.getfixturevalue("shared_data"), ALL)
    return synthetic_cases(ALL, height=512, width=512)


def slot_of(doctor: Doctor, wanted: int) -> str:
    """A key; doctors differ in taste, not in speed."""
    slots = doctor.page.locator(".panel").count() - 1
    return str(1 + wanted % slots)


def draw_something(doctor: Doctor) -> None:
    box = doctor.page.locator("#canvas").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    doctor.page.mouse.move(x - 60, y - 40)
    doctor.page.mouse.down()
    doctor.page.mouse.move(x + 50, y + 60, steps=6)
    doctor.page.mouse.up()


@pytest.mark.slow
def test_both_stages(
    cases: list[Case], new_context: Callable[..., BrowserContext], tmp_path: Path
) -> None:
    toy = make_study(tmp_path, cases, stage_one=STAGE_ONE)
    with served(toy, by=Command) as server:
        anna, ben = (signed_in(new_context(), server, toy, name) for name in ("anna", "ben"))
        for turn in range(STAGE_ONE):
            assert anna.page.locator("#stage").inner_text() == "Stage I"
            anna.decide(slot_of(anna, turn))
            ben.decide(slot_of(ben, 2 * turn + 1))
            if turn == 2:
                anna.page.reload()
                anna.wait()
            if turn == 3:
                ben.decide("u").decide(slot_of(ben, 0))
        assert anna.page.locator("#stage").inner_text() == "Stage II"
        assert anna.page.locator(".panel").count() == 4  # the radiograph and three models' masks
        drawn = []
        for turn in range(ALL - STAGE_ONE):
            ben.decide(slot_of(ben, turn))
            if turn % 2:
                anna.decide(slot_of(anna, turn))
                continue
            with anna.page.expect_navigation(url="**/draw/*"):
                anna.page.keyboard.press("r")
            anna.wait()
            if turn == 2:
                anna.page.keyboard.press("1")
                anna.page.wait_for_function("() => performance.getEntriesByName('kept').length > 0")
            draw_something(anna)
            drawn.append(
                anna.page.evaluate(
                    "async () => (await import('/static/js/draw.js')).mask.pixels"
                    "  .reduce((count, pixel) => count + pixel / 255, 0)"
                )
            )
            with anna.page.expect_navigation(url="**/pick"):
                anna.page.keyboard.press("Control+s")
            anna.page.wait_for_function(
                "() => ['ready', 'done'].includes(document.body.dataset.state)"
            )
        assert anna.page.get_attribute("body", "data-state") == "done"
        assert ben.page.get_attribute("body", "data-state") == "done"
        cara = signed_in(new_context(), server, toy, "cara")
        while cara.page.get_attribute("body", "data-state") != "done":
            assert cara.page.locator("#stage").inner_text() == "Third reading"
            cara.decide("1")
    assert toy.decisions("cara")
    rows = toy.decisions("anna")
    assert [row["kind"] for row in rows[:STAGE_ONE]] == ["pick"] * STAGE_ONE
    kept = [toy.mask_of(row) for row in rows if row["kind"] == "draw"]
    assert [int((mask > 0).sum()) for mask in kept] == drawn
    for row, mask in zip((row for row in rows if row["kind"] == "draw"), kept, strict=True):
        assert mask.shape == toy.cases[row["picture"]].image.shape
        assert set(np.unique(mask)) == {0, 255}
    assert len({row["picture"] for row in toy.decisions("ben")}) == ALL
    assert sum(row["kind"] == "undo" for row in toy.decisions("ben")) == 1
