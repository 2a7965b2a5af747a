"""Drawing by hand: what is on the screen is what the study keeps, pixel for pixel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import BrowserContext, Dialog, expect

from annotation import (
    Doctor,
    Gray,
    Server,
    Toy,
    canvas_pixels,
    from_base64,
    make_study,
    served,
    signed_in,
    synthetic_cases,
)
from pictures import read_picture


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    """Readers may draw from the first radiograph on."""
    cases = synthetic_cases(2, height=150, width=130)
    return make_study(tmp_path, cases, stage_one=2, draw_in_stage_one=True)


@pytest.fixture
def anna(context: BrowserContext, server: Server, toy: Toy) -> Doctor:
    doctor = signed_in(context, server, toy)
    with doctor.page.expect_navigation(url="**/draw/*"):
        doctor.page.keyboard.press("d")
    return doctor.wait()


def mask_on(page: Doctor) -> Gray:
    """The mask that the page holds."""
    text = page.page.evaluate(
        """async () => {
          const { mask } = await import('/static/js/draw.js');
          return btoa(mask.pixels.reduce((text, value) => text + String.fromCharCode(value), ''));
        }"""
    )
    return from_base64(text).reshape(150, 130)


def at(doctor: Doctor, x: float, y: float) -> tuple[float, float]:
    """Where a place of the radiograph lies on the screen, before any zoom."""
    box = doctor.page.locator("#canvas").bounding_box()
    assert box
    scale = min(box["width"] / 130, box["height"] / 150)
    return (
        box["x"] + box["width"] / 2 + (x - 65) * scale,
        box["y"] + box["height"] / 2 + (y - 75) * scale,
    )


def drag(doctor: Doctor, *places: tuple[float, float]) -> None:
    doctor.page.mouse.move(*at(doctor, *places[0]))
    doctor.page.mouse.down()
    for place in places[1:]:
        doctor.page.mouse.move(*at(doctor, *place), steps=4)
    doctor.page.mouse.up()


def distance(a: tuple[float, float], b: tuple[float, float]) -> NDArray[np.float64]:
    """Of every pixel's middle from the line between two places."""
    rows, columns = np.indices((150, 130)) + 0.5
    (ax, ay), (bx, by) = a, b
    along = ((columns - ax) * (bx - ax) + (rows - ay) * (by - ay)) / (
        (bx - ax) ** 2 + (by - ay) ** 2
    )
    along = np.clip(along, 0, 1)
    return np.asarray(np.hypot(columns - ax - along * (bx - ax), rows - ay - along * (by - ay)))


def save(doctor: Doctor) -> None:
    with doctor.page.expect_navigation(url="**/pick"):
        doctor.page.keyboard.press("Control+s")
    doctor.wait()


def test_a_stroke_comes_back_pixel_for_pixel(anna: Doctor, toy: Toy) -> None:
    for _ in range(3):
        anna.page.keyboard.press("]")
    diameter = int(anna.page.locator("#size-value").inner_text().split()[0])
    drag(anna, (30, 40), (90, 60), (60, 120))
    seen = mask_on(anna)
    lines = [((30, 40), (90, 60)), ((90, 60), (60, 120))]
    expected = np.any([distance(*line) <= diameter / 2 for line in lines], axis=0)
    # A pointer stands on whole pixels of the screen: the rim may differ here and there.
    assert 2 * ((seen > 0) & expected).sum() / ((seen > 0).sum() + expected.sum()) > 0.97
    save(anna)
    (row,) = toy.decisions()
    assert (row["kind"], row["mask_kind"], row["begun_from_id"]) == ("draw", "reader", None)
    assert np.array_equal(toy.mask_of(row), seen)
    assert "drawing saved" in anna.said
    assert anna.number == "Radiograph 2 of 2"


def test_polygon_fill_eraser_and_history(anna: Doctor, toy: Toy) -> None:
    page = anna.page
    page.keyboard.press("p")
    for place in ((20, 20), (100, 20), (100, 110), (20, 110)):
        page.mouse.click(*at(anna, *place))
    page.keyboard.press("Enter")
    square = mask_on(anna)
    assert square[30, 30] == square[100, 90] == 255
    assert abs(int((square > 0).sum()) - 80 * 90) < 200
    page.keyboard.press("x")  # takes away: a lasso in the middle
    drag(anna, (40, 40), (80, 40), (80, 80), (40, 80), (40, 41))
    hollow = mask_on(anna)
    assert hollow[60, 60] == 0
    assert hollow[30, 30] == 255
    page.keyboard.press("x")
    page.keyboard.press("f")
    page.mouse.click(*at(anna, 60, 60))
    assert np.array_equal(mask_on(anna), square)
    page.mouse.click(*at(anna, 5, 5))
    assert "not enclosed" in anna.said
    page.keyboard.press("e")
    drag(anna, (30, 30), (90, 100))
    erased = mask_on(anna)
    assert (erased > 0).sum() < (square > 0).sum()
    assert np.array_equal(erased | square, square)
    page.keyboard.press("Control+z")
    assert np.array_equal(mask_on(anna), square)
    page.keyboard.press("u")
    assert np.array_equal(mask_on(anna), hollow)
    page.keyboard.press("Control+y")
    page.keyboard.press("Shift+U")
    assert np.array_equal(mask_on(anna), erased)
    save(anna)
    assert np.array_equal(toy.mask_of(toy.decisions()[0]), erased)


def test_zoomed_in_each_pixel_is_hit(anna: Doctor, toy: Toy) -> None:
    """A one-pixel brush at twelve-fold zoom marks the pixel under the pointer, and the screen shows it."""
    page = anna.page
    for _ in range(20):
        page.keyboard.press("[")
    x, y = at(anna, 65.5, 75.5)
    page.mouse.move(x, y)
    for _ in range(10):
        page.mouse.wheel(0, -300)
    before = canvas_pixels(page, "#canvas")
    page.mouse.click(x, y)
    seen = mask_on(anna)
    assert [tuple(place) for place in np.argwhere(seen)] == [(75, 65)]
    changed = np.abs(canvas_pixels(page, "#canvas").astype(int) - before).max(axis=2) > 8
    rows, columns = np.where(changed)
    # A square on the screen, not a blur.
    assert changed[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].mean() > 0.95


def test_start_from_a_candidate(anna: Doctor, toy: Toy) -> None:
    anna.page.keyboard.press("2")
    expect(anna.page.locator("#toast")).to_have_text("Candidate 2 is the start.")
    drag(anna, (10, 10), (12, 12))
    seen = mask_on(anna)
    save(anna)
    (row,) = toy.decisions()
    assert np.array_equal(toy.mask_of(row), seen)
    assert row["begun_from_id"] is not None
    begun = (toy.folder / "masks").iterdir()
    started = seen.copy()
    started[:25, :25] = 0
    assert any(np.array_equal(read_picture(path, gray=True), started) for path in begun)


def test_a_reload_in_the_middle_of_a_drawing(anna: Doctor, toy: Toy) -> None:
    asked = []

    def leave(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    anna.page.on("dialog", leave)
    drag(anna, (30, 40), (90, 60))
    anna.page.wait_for_function("() => performance.getEntriesByName('kept').length === 1")
    seen = mask_on(anna)
    anna.page.reload()
    anna.wait()
    assert asked == ["beforeunload"]
    assert anna.said == "Your drawing is as you left it."
    assert np.array_equal(mask_on(anna), seen)
    save(anna)
    assert np.array_equal(toy.mask_of(toy.decisions()[0]), seen)


def test_undo_of_a_drawing_gives_it_back(anna: Doctor, toy: Toy) -> None:
    drag(anna, (30, 40), (90, 60))
    seen = mask_on(anna)
    save(anna)
    anna.decide("u")
    assert anna.number == "Radiograph 1 of 2"
    with anna.page.expect_navigation(url="**/draw/*"):
        anna.page.keyboard.press("d")
    anna.wait()
    assert np.array_equal(mask_on(anna), seen)


def test_reject_then_draw_or_take_it_back(
    context: BrowserContext, server: Server, toy: Toy
) -> None:
    anna = signed_in(context, server, toy)
    with anna.page.expect_navigation(url="**/draw/*"):
        anna.page.keyboard.press("r")
    anna.wait()
    with anna.page.expect_navigation(url="**/pick"):
        anna.page.keyboard.press("c")
    anna.wait()
    assert anna.said.startswith("The candidates are open again")
    anna.decide("1")
    assert [row["kind"] for row in toy.decisions()] == ["reject", "undo", "pick"]


def test_nothing_drawn_is_asked_about(anna: Doctor, toy: Toy) -> None:
    anna.page.keyboard.press("Control+s")
    assert "Nothing is drawn" in anna.notice
    assert toy.decisions() == []
    with anna.page.expect_navigation(url="**/pick"):
        anna.page.get_by_role("button", name="Save as not infected").click()
    anna.wait()
    assert not toy.mask_of(toy.decisions()[0]).any()


def test_a_drawing_survives_a_lost_connection(anna: Doctor, server: Server, toy: Toy) -> None:
    drag(anna, (30, 40), (90, 60))
    seen = mask_on(anna)
    server.stop()
    anna.page.keyboard.press("Control+s")
    expect(anna.page.locator("#notice")).to_contain_text("Your drawing is kept on this page")
    server.start()
    anna.page.wait_for_url("**/pick")
    assert np.array_equal(toy.mask_of(toy.decisions()[0]), seen)


def test_decided_in_another_tab_meanwhile(anna: Doctor, toy: Toy) -> None:
    drag(anna, (30, 40), (90, 60))
    anna.another_tab().wait().decide("1")
    anna.page.keyboard.press("Control+s")
    expect(anna.page.locator("#notice")).to_contain_text("Your drawing was not saved.")
    with anna.page.expect_navigation(url="**/pick"):
        anna.page.get_by_role("button", name="To the radiographs").click()
    assert anna.wait().number == "Radiograph 2 of 2"
    assert [row["kind"] for row in toy.decisions()] == ["pick"]


def test_pen_and_fingers(new_tablet: Doctor, toy: Toy) -> None:
    """A finger draws until a pen does; two fingers zoom and draw nothing."""
    doctor = new_tablet
    doctor.page.evaluate(
        """() => {
          window.send = (type, id, kind, x, y, more = {}) => document.getElementById('canvas').dispatchEvent(
            new PointerEvent(type, { pointerId: id, pointerType: kind, clientX: x, clientY: y, bubbles: true,
              cancelable: true, button: 0, buttons: 1, pressure: 0.5, isPrimary: true, ...more }));
          Element.prototype.setPointerCapture = () => {}; // no such pointers are down really
        }"""
    )

    def send(kind: str, *events: tuple[str, int, float, float]) -> None:
        for name, pointer, x, y in events:
            doctor.page.evaluate(
                "given => send(...given)", [name, pointer, kind, *at(doctor, x, y)]
            )

    stroke = (("pointerdown", 5, 30, 40), ("pointermove", 5, 60, 50), ("pointerup", 5, 60, 50))
    send("touch", *stroke)
    assert mask_on(doctor).any()
    doctor.page.keyboard.press("u")
    assert not mask_on(doctor).any()
    send(
        "touch", ("pointerdown", 5, 40, 40), ("pointerdown", 6, 80, 80), ("pointermove", 6, 100, 110),
        ("pointerup", 5, 40, 40), ("pointerup", 6, 100, 110),
    )  # fmt: skip
    assert not mask_on(doctor).any()
    # The figure follows with the next frame that the browser paints.
    doctor.page.wait_for_function(
        "parseInt(document.getElementById('zoom-value').textContent) > 105"
    )
    doctor.page.keyboard.press("0")
    send("pen", *stroke)
    drawn = mask_on(doctor)
    assert drawn.any()
    send(
        "touch",
        ("pointerdown", 7, 90, 90),
        ("pointermove", 7, 100, 120),
        ("pointerup", 7, 100, 120),
    )
    assert np.array_equal(mask_on(doctor), drawn)


@pytest.fixture
def new_tablet(toy: Toy, new_context: object) -> Iterator[Doctor]:
    with served(toy) as server:
        context = new_context(viewport={"width": 1180, "height": 820}, has_touch=True)  # type: ignore[operator]
        doctor = signed_in(context, server, toy)
        with doctor.page.expect_navigation(url="**/draw/*"):
            doctor.page.keyboard.press("d")
        yield doctor.wait()
