"""The pages' arithmetic against NumPy, OpenCV and Pillow, in the real browser."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page

from annotation import from_base64, make_study, served, synthetic_cases

WIDTH, HEIGHT = 61, 47
Mask = NDArray[np.uint8]

MAKE = f"""
  const {{ Mask }} = await import('/static/js/mask.js');
  const mask = new Mask({WIDTH}, {HEIGHT}, () => {{}});
  const text = pixels => btoa(String.fromCharCode(...pixels));
"""


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page of the tool, whose modules can be imported."""
    toy = make_study(tmp_path_factory.mktemp("study"), synthetic_cases(1), stage_one=1)
    with served(toy) as server:
        page = browser.new_page()
        page.goto(f"{server.url}/sign-in")
        yield page
        page.close()


def drawn(page: Page, script: str, argument: Any = None) -> Mask:
    text = page.evaluate(
        f"async given => {{ {MAKE} {script}; return text(mask.pixels); }}", argument
    )
    return from_base64(text).reshape(HEIGHT, WIDTH)


def middles() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows, columns = np.indices((HEIGHT, WIDTH)).astype(np.float64) + 0.5
    return columns, rows


@pytest.mark.parametrize("diameter", [2, 3, 7.5, 20])
def test_a_stroke_is_what_lies_within_half_its_width(page: Page, diameter: float) -> None:
    start, end = (7.3, 40.1), (50.8, 12.6)
    found = drawn(
        page,
        "const [[ax, ay], [bx, by], d] = given; mask.stroke({x: ax, y: ay}, {x: bx, y: by}, d, 255)",
        [start, end, diameter],
    )
    x, y = middles()
    a, b = np.array(start), np.array(end)
    along = np.clip(
        ((x - a[0]) * (b - a)[0] + (y - a[1]) * (b - a)[1]) / ((b - a) ** 2).sum(), 0, 1
    )
    distance = np.hypot(x - a[0] - along * (b - a)[0], y - a[1] - along * (b - a)[1])
    assert np.array_equal(found, np.where(distance <= diameter / 2, 255, 0))


def test_the_thinnest_line_has_no_gap(page: Page) -> None:
    found = drawn(page, "mask.stroke({x: 2.9, y: 3.1}, {x: 58.2, y: 30.4}, 1, 255)")
    assert set(np.unique(found)) == {0, 255}
    count, _ = cv2.connectedComponents(found, connectivity=8)
    assert count == 2  # the ground and one line
    assert found.max(axis=0)[2:59].all()
    assert (found > 0).sum() < 90
    assert found[3, 2] == found[30, 58] == 255


def test_a_stroke_leaves_the_picture_and_comes_back(page: Page) -> None:
    found = drawn(page, "mask.stroke({x: -30, y: -20}, {x: 100, y: 90}, 6, 255)")
    assert found.any()
    assert drawn(page, "mask.stroke({x: -30, y: -20}, {x: -10, y: 90}, 6, 255)").sum() == 0


def test_a_polygon_is_what_it_encloses(page: Page) -> None:
    """A star that crosses itself: by the number of edges between each pixel's middle and its left."""
    corners = [(30.2, 2.1), (44.7, 44.9), (5.3, 17.4), (56.1, 18.8), (14.6, 43.2)]
    found = drawn(page, "mask.polygon(given.map(([x, y]) => ({x, y})), 255)", corners)
    x, y = middles()
    inside = np.zeros(x.shape, bool)
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        crosses = (ay <= y) != (by <= y)
        inside ^= crosses & (ax + (y - ay) / (by - ay) * (bx - ax) <= x)
    assert np.array_equal(found > 0, inside)


def test_fill_fills_what_is_enclosed_and_nothing_else(page: Page) -> None:
    ring = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(ring, (30, 23), 15, 255, 1)
    found = drawn(
        page,
        "mask.replace(Uint8Array.from(given), 0); mask.fill({x: 30.5, y: 20.5}, 255)",
        ring.ravel().tolist(),
    )
    expected = ring.copy()
    cv2.floodFill(expected, None, (30, 20), 255)
    assert np.array_equal(found, expected)
    emptied = drawn(
        page,
        "mask.replace(Uint8Array.from(given), 0); mask.fill({x: 30.5, y: 20.5}, 0)",
        expected.ravel().tolist(),
    )
    assert emptied.sum() == 0
    open_ground = drawn(
        page,
        "mask.replace(Uint8Array.from(given), 0); if (mask.fill({x: 1, y: 1}, 255)) throw Error('filled')",
        ring.ravel().tolist(),
    )
    assert np.array_equal(open_ground, ring)


def test_undo_and_redo_lead_through_the_same_masks(page: Page) -> None:
    """Fifty random strokes: back to each mask that there was, and forth again."""
    differ = page.evaluate(
        f"""async () => {{ {MAKE}
          let seed = 7;
          const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
          const seen = [text(mask.pixels)];
          const place = () => ({{ x: random() * 80 - 10, y: random() * 60 - 10 }});
          while (seen.length < 50) {{
            mask.begin();
            const value = random() < 0.6 ? 255 : 0;
            if (random() < 0.5) mask.stroke(place(), place(), 1 + random() * 12, value);
            else mask.polygon([place(), place(), place(), place()], value);
            mask.commit();
            if (mask.canUndo) seen.push(text(mask.pixels));
            if (random() < 0.2) {{ mask.begin(); mask.stroke(place(), place(), 5, 255); mask.cancel(); }}
          }}
          const wrong = [];
          // A step that changed nothing inside the picture has no place in the history.
          const steps = [];
          while (mask.canUndo) {{ steps.push(text(mask.pixels)); mask.undo(); }}
          if (text(mask.pixels) !== seen[0]) wrong.push('start');
          for (const step of steps.reverse()) {{
            mask.redo();
            if (text(mask.pixels) !== step) wrong.push(step);
          }}
          if (mask.canRedo) wrong.push('end');
          if (!steps.every(step => seen.includes(step))) wrong.push('unseen');
          return wrong;
        }}"""
    )
    assert differ == []


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 500), (257, 31), (1024, 1000)])
def test_the_png_is_gray_and_exact(page: Page, width: int, height: int) -> None:
    pixels = (np.random.default_rng(3).random((height, width)) < 0.5).astype(np.uint8) * 255
    text = page.evaluate(
        """async ([text, width, height]) => {
          const { grayPng } = await import('/static/js/png.js');
          const pixels = Uint8Array.from(atob(text), c => c.charCodeAt(0));
          const bytes = new Uint8Array(await (await grayPng(pixels, width, height)).arrayBuffer());
          let out = '';
          for (let i = 0; i < bytes.length; i += 8192)
            out += String.fromCharCode(...bytes.subarray(i, i + 8192));
          return btoa(out);
        }""",
        [base64.b64encode(pixels.tobytes()).decode(), width, height],
    )
    content = base64.b64decode(text)
    with Image.open(io.BytesIO(content)) as picture:
        picture.verify()  # checks every chunk's sum
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.mode == "L"
        assert np.array_equal(np.array(picture), pixels)


@pytest.mark.parametrize("density", [0.02, 0.5, 0.9])
def test_an_outline_goes_around_what_is_marked(page: Page, density: float) -> None:
    """Every pixel's middle lies in the outline exactly when it is marked, holes and corners included."""
    mask = (np.random.default_rng(5).random((HEIGHT, WIDTH)) < density).astype(np.uint8)
    mask[10:30, 20:50] = 1  # straight runs
    mask[15:20, 30:40] = 0
    inside, points = page.evaluate(
        """async ([mask, width, height]) => {
          const { outlines, pathOf } = await import('/static/js/outline.js');
          const lines = outlines(Uint8Array.from(mask), width, height);
          const path = pathOf(lines);
          const context = document.createElement('canvas').getContext('2d');
          const inside = mask.map(
            (_, i) => context.isPointInPath(path, i % width + 0.5, Math.floor(i / width) + 0.5));
          return [inside, lines.reduce((sum, line) => sum + line.length / 2, 0)];
        }""",
        [mask.ravel().tolist(), WIDTH, HEIGHT],
    )
    assert np.array_equal(np.reshape(inside, mask.shape), mask > 0)
    edges = np.abs(np.diff(np.pad(mask, 1).astype(int), axis=0)).sum()
    edges += np.abs(np.diff(np.pad(mask, 1).astype(int), axis=1)).sum()
    assert points < edges  # straight runs are not spelt out


def test_window_and_level(page: Page) -> None:
    """As DICOM's linear function in the middle, black and white beyond its ends."""
    table = page.evaluate(
        """async () => {
          const { Windowing } = await import('/static/js/view.js');
          const windowing = new Windowing(() => {});
          const whole = [...windowing.table()];
          windowing.set({ width: 64, level: 100 });
          return [whole, [...windowing.table()]];
        }"""
    )
    grays = np.arange(256)
    assert np.array_equal(table[0], grays)
    assert np.abs(np.array(table[1]) - np.clip((grays - 68) * 4, 0, 255)).max() <= 1
