"""What a reader of results must see at once: sides, what lies outside the lungs, and two cards on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, expect

from view_pages import CANVAS, Contexts, opened
from view_results import shown, write_pictures, write_results


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    made = tmp_path_factory.mktemp("view")
    write_results(made / "out", write_pictures(made / "in"))
    with shown(made / "out", identify=True) as address:
        yield address


@pytest.mark.parametrize("width", [360, 390])
def test_a_phone_has_two_results_beside_each_other(
    new_context: Contexts, url: str, width: int
) -> None:
    page = opened(new_context(viewport={"width": width, "height": 800}), url)
    boxes = [card.bounding_box() for card in page.locator(".window li").all()[:3]]
    (first, second, third) = (box for box in boxes if box)
    assert first["y"] == second["y"] < third["y"]
    assert first["x"] + first["width"] <= second["x"]
    # No band is left beside them.
    assert width - 40 <= second["x"] + second["width"] <= width
    for select in page.locator("form.filters select:visible").all():
        cut = select.evaluate("(it) => it.scrollWidth > it.clientWidth")
        assert not cut, select
        assert select.evaluate(
            """(it) => {
              const probe = document.createElement("span");
              Object.assign(probe.style, { font: getComputedStyle(it).font, position: "absolute" });
              probe.textContent = it.selectedOptions[0].text;
              document.body.append(probe);
              const room = it.clientWidth - 40; // its arrow
              const wanted = probe.getBoundingClientRect().width;
              probe.remove();
              return wanted <= room;
            }"""
        ), "the chosen order is read whole"


def test_sides_are_marked_where_the_file_states_them(context: BrowserContext, url: str) -> None:
    page = opened(context, url, "chest_0.dcm")
    marks = page.locator("figure >> nth=0 >> .sides b")
    right, left = (mark.bounding_box() for mark in marks.all())
    canvas = page.locator(CANVAS).bounding_box()
    assert right
    assert left
    assert canvas
    assert marks.all_inner_texts() == ["R", "L"]
    assert right["x"] - canvas["x"] < 30 < canvas["width"] - 60 < left["x"] - canvas["x"]
    assumed = page.get_by_text("The file does not state the sides")
    expect(assumed).to_have_count(0)
    page.keyboard.press("Escape")
    page.locator("li a", has_text="chest_1.png").first.click()
    expect(page.locator("#title")).to_contain_text("chest_1.png")
    expect(marks.first).to_be_hidden()
    expect(assumed).to_be_visible()


def test_what_lies_outside_the_lungs_is_said_and_listed_first(
    context: BrowserContext, tmp_path: Path
) -> None:
    """Detected, and nothing of it in the lungs: no such result may look like one of a healthy chest."""
    pictures = write_pictures(tmp_path / "in")
    write_results(tmp_path / "out", pictures)
    for name, in_corner in (("chest_1.png", 0.9), ("chest_0.dcm", 0.1)):
        path = next(path for path in pictures if path.name == name)
        probability = np.zeros((224, 224), np.float32)
        probability[:8, :8] = in_corner
        write_results(tmp_path / "out", [path], probability=probability)
    with shown(tmp_path / "out", identify=True) as address:
        page = opened(context, address, "chest_1.png")
        expect(page.locator("#finding .verdict")).to_contain_text("is reached")
        expect(page.locator("#served")).to_contain_text("0.0 %, none")
        expect(page.locator("#finding")).to_contain_text("outside the segmented lungs")
        page.keyboard.press("Escape")
        names = page.locator("li .name").all_inner_texts()
    assert names.index("chest_1.png") < names.index("chest_0.dcm")
