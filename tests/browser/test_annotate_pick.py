"""Choosing among candidates, at the keyboard, with a mouse and with a finger."""

from __future__ import annotations

import itertools
import json
import statistics
from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, expect

from annotation import Server, Toy, signed_in

Contexts = Callable[..., BrowserContext]


def test_a_number_key_picks_and_the_next_is_there(
    context: BrowserContext, server: Server, toy: Toy
) -> None:
    anna = signed_in(context, server, toy)
    assert anna.number == "Radiograph 1 of 7"
    assert (
        anna.page.locator(".panel").count() == 5
    )  # the radiograph, a doctor's mask, three models'
    anna.decide("3")
    assert anna.number == "Radiograph 2 of 7"
    assert anna.said == "Radiograph 1: candidate 3 picked. U takes it back."
    (row,) = toy.decisions()
    shown = json.loads(row["order_shown"])
    assert (row["reader"], row["kind"], row["slot"]) == ("anna", "pick", 3)
    assert row["candidate_id"] == shown[2]
    assert len(shown) == 4


def test_what_is_seen_at_a_slot_is_what_is_recorded(
    context: BrowserContext, server: Server, toy: Toy
) -> None:
    """The overlay's yellow at slot 2 covers the mask that the study then names."""
    anna = signed_in(context, server, toy)
    anna.page.keyboard.press("o")
    bare, marked = anna.panel(0).astype(int), anna.panel(2).astype(int)
    seen = np.abs(marked - bare).max(axis=2) > 25
    anna.decide("2")
    mask = toy.mask_of(toy.decisions()[0]) > 0
    height, width = seen.shape
    scale = min(height / mask.shape[0], width / mask.shape[1])
    rows, columns = np.indices(seen.shape)
    y = ((rows + 0.5 - height / 2) / scale + mask.shape[0] / 2).astype(int)
    x = ((columns + 0.5 - width / 2) / scale + mask.shape[1] / 2).astype(int)
    on_it = (y >= 0) & (y < mask.shape[0]) & (x >= 0) & (x < mask.shape[1])
    expected = np.zeros(seen.shape, bool)
    expected[on_it] = mask[y[on_it], x[on_it]]
    assert 2 * (seen & expected).sum() / (seen.sum() + expected.sum()) > 0.97


def test_undo_shows_what_was_chosen(context: BrowserContext, server: Server, toy: Toy) -> None:
    anna = signed_in(context, server, toy)
    expect(anna.page.get_by_role("button", name="Undo")).to_be_disabled()
    anna.decide("1").decide("Control+z")
    assert anna.number == "Radiograph 1 of 7"
    assert anna.said == "Undone. You had picked 1."
    expect(anna.page.locator(".panel[data-slot='1'] .previous")).to_be_visible()
    anna.decide("4")
    assert [(row["kind"], row["slot"]) for row in toy.decisions()] == [
        ("pick", 1), ("undo", None), ("pick", 4),
    ]  # fmt: skip


def test_what_was_skipped_comes_back(context: BrowserContext, server: Server, toy: Toy) -> None:
    anna = signed_in(context, server, toy)
    anna.decide("s")
    assert "skipped" in anna.said
    for _ in range(6):
        anna.decide("1")
    assert anna.number == "Radiograph 1 of 7"
    anna.decide("1").wait("done")
    expect(anna.page.get_by_role("heading", name="All done")).to_be_focused()
    anna.decide("u")  # from the last page back
    assert anna.number == "Radiograph 1 of 7"


def test_keys_that_decide_nothing(context: BrowserContext, server: Server, toy: Toy) -> None:
    """No fifth candidate, no reject in stage I, no second pick from a key held down."""
    anna = signed_in(context, server, toy)
    for key in ("5", "r", "d", "7", "Enter"):
        anna.page.keyboard.press(key)
    assert anna.number == "Radiograph 1 of 7"
    anna.page.keyboard.down("2")
    anna.page.wait_for_function("() => performance.getEntriesByName('ready').length === 2")
    for _ in range(5):
        anna.page.keyboard.down("2")  # the browser reports it as a repetition
    anna.page.keyboard.up("2")
    anna.page.wait_for_timeout(200)
    assert len(toy.decisions()) == 1


def test_plain_keys_can_be_switched_off(context: BrowserContext, server: Server, toy: Toy) -> None:
    anna = signed_in(context, server, toy)
    anna.page.keyboard.press("?")
    anna.page.get_by_label("Keys without Ctrl are on").uncheck()
    anna.page.keyboard.press("1")  # a dialog is open
    anna.page.keyboard.press("Escape")
    anna.page.keyboard.press("1")
    anna.page.wait_for_timeout(200)
    assert toy.decisions() == []
    anna.page.get_by_role("button", name="Keys").click()
    anna.page.get_by_label("Keys without Ctrl are on").check()
    anna.page.get_by_role("button", name="Close").click()
    anna.decide("1")
    assert len(toy.decisions()) == 1


@pytest.mark.alone
def test_ready_again_within_300_ms(context: BrowserContext, server: Server, toy: Toy) -> None:
    """From the key to a page that is drawn and takes the next key."""
    anna = signed_in(context, server, toy)
    for done in range(6):
        anna.page.wait_for_function(
            "n => performance.getEntriesByName('preloaded').length > n", arg=done
        )
        anna.decide("1")
    times = anna.page.evaluate(
        """() => ['decided', 'ready'].map(name => performance.getEntriesByName(name).map(e => e.startTime))"""
    )
    waits_ms = [ready - decided for decided, ready in zip(times[0], times[1][1:], strict=True)]
    assert statistics.median(waits_ms) < 300, waits_ms


def test_zoom_and_window_are_in_step(context: BrowserContext, server: Server, toy: Toy) -> None:
    anna = signed_in(context, server, toy)
    page = anna.page
    whole = anna.panel(0)
    box = page.locator(".panel[data-slot='3'] canvas").bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.7, box["y"] + box["height"] * 0.3)
    page.mouse.wheel(0, -600)
    page.mouse.down(button="right")
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.2, steps=3)
    page.mouse.up(button="right")
    page.keyboard.down("h")  # masks away: all panels show the same
    panels = [anna.panel(slot) for slot in range(5)]
    page.keyboard.up("h")
    assert np.abs(panels[0].astype(int) - whole).mean() > 10
    for panel in panels[1:]:
        assert np.array_equal(panel, panels[0])
    assert int(page.locator("#window-value").inner_text()) < 256
    page.keyboard.press("0")
    assert np.array_equal(anna.panel(0), whole)


def test_a_key_zooms_and_arrows_move(context: BrowserContext, server: Server, toy: Toy) -> None:
    anna = signed_in(context, server, toy)
    for _ in range(4):
        anna.page.keyboard.press("+")
    seen = [anna.panel(0)]
    for key in ("+", "ArrowLeft", "ArrowUp", "w", "Shift+W", "l", "-"):
        anna.page.keyboard.press(key)
        seen.append(anna.panel(0))
    for before, after in itertools.pairwise(seen):
        assert not np.array_equal(before, after)
    # A slider keeps the arrow keys while it has the focus.
    anna.page.keyboard.press("0")
    anna.page.keyboard.press("+")
    moved = anna.panel(0)
    anna.page.get_by_label("Opacity").focus()
    anna.page.keyboard.press("ArrowLeft")
    assert np.array_equal(anna.panel(0), moved)


def test_a_reload_in_the_middle(context: BrowserContext, server: Server, toy: Toy) -> None:
    anna = signed_in(context, server, toy)
    anna.decide("2")
    for key in ("+", "+", "w"):
        anna.page.keyboard.press(key)
    zoomed = anna.panel(1)
    anna.page.reload()
    anna.wait()
    assert anna.number == "Radiograph 2 of 7"
    assert np.array_equal(anna.panel(1), zoomed)
    anna.decide("1")
    assert [row["slot"] for row in toy.decisions()] == [2, 1]


def test_two_doctors_at_once(new_context: Contexts, server: Server, toy: Toy) -> None:
    anna, ben = (signed_in(new_context(), server, toy, name) for name in ("anna", "ben"))
    for _ in range(7):
        anna.decide("1")
        ben.decide("2")
    assert anna.page.get_attribute("body", "data-state") == "done"
    assert ben.page.get_attribute("body", "data-state") == "done"
    of_anna, of_ben = toy.decisions("anna"), toy.decisions("ben")
    assert len(of_anna) == len(of_ben) == 7
    assert [row["picture"] for row in of_anna] != [row["picture"] for row in of_ben]
    orders = [{row["picture"]: row["order_shown"] for row in rows} for rows in (of_anna, of_ben)]
    assert orders[0] != orders[1]


def test_mouse_and_finger(new_context: Contexts, server: Server, toy: Toy) -> None:
    tablet = new_context(
        viewport={"width": 820, "height": 1180}, has_touch=True, device_scale_factor=2
    )
    anna = signed_in(tablet, server, toy)
    button = anna.page.get_by_role("button", name="Pick candidate 2")
    box = button.bounding_box()
    assert box
    assert box["height"] >= 44  # what a finger needs
    button.tap()
    expect(anna.page.locator("#number")).to_have_text("Radiograph 2 of 7")
    anna.wait().page.get_by_role("button", name="Pick candidate 1").click()
    expect(anna.page.locator("#number")).to_have_text("Radiograph 3 of 7")
    # The second click of a double click would fall on a radiograph that nobody has seen.
    anna.wait().page.get_by_role("button", name="Pick candidate 1").dblclick()
    expect(anna.page.locator("#number")).to_have_text("Radiograph 4 of 7")
    anna.page.wait_for_timeout(200)
    assert [row["slot"] for row in toy.decisions()] == [2, 1, 1]


def test_two_tabs_of_one_doctor(context: BrowserContext, server: Server, toy: Toy) -> None:
    first = signed_in(context, server, toy)
    second = first.another_tab().wait()
    second.decide("1")
    first.decide("2")
    assert "Not counted" in first.notice
    assert "another tab" in first.notice
    assert first.number == "Radiograph 2 of 7"
    first.decide("3")
    assert [row["slot"] for row in toy.decisions()] == [1, 3]
    assert first.page.locator("#notice").is_hidden()
    tabs = {row["tab"] for row in toy.decisions()}
    assert len(tabs) == 2
