"""A course's page at a desk and on a phone: every figure is seen without scrolling sideways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from accessibility import faults
from infmap_kit.progression.output.page import page as progression_page
from results import course_with_maps

Contexts = Callable[..., BrowserContext]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("course") / "progression.html"
    path.write_text(progression_page(*course_with_maps()))
    return path


@pytest.mark.parametrize(
    ("width", "scheme"), [(390, "light"), (390, "dark"), (900, "dark"), (1600, "light")]
)
def test_every_figure_is_inside_the_window(
    new_context: Contexts, written: Path, axe: str, width: int, scheme: str
) -> None:
    page = new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
    page.goto(written.as_uri())
    cells = page.locator("section.whole td").all()
    assert len(cells) >= 32
    for cell in cells:
        # On a phone an empty cell has no line of its own.
        if not cell.inner_text():
            continue
        box = cell.bounding_box()
        assert box, cell.text_content()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width, cell.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert faults(page, axe) == []


def test_hashes_are_folded_away_until_the_keyboard_opens_them_and_the_rule_is_in_words(
    context: BrowserContext, written: Path
) -> None:
    page = context.new_page()
    page.goto(written.as_uri())
    digest = page.get_by_text("onnx_sha256", exact=True)
    expect(digest).to_be_hidden()
    focused = "document.activeElement.textContent"
    for _ in range(5):
        page.keyboard.press("Tab")
        if page.evaluate(focused) == "Model":
            break
    page.keyboard.press("Enter")
    expect(digest).to_be_visible()
    assert "sqrt" not in page.content()
