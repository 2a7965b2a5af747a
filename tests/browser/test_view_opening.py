"""What a result opens with, what is said of it at a threshold, and galleries of every width."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from infmap_kit import view
from view_pages import opened, ready
from view_results import shown, write_many, write_pictures, write_results

SWITCHES = {"painted": True, "contour": True, "lungs": True, "above": False}

FOCUSED = """() => {
  const card = document.activeElement.getBoundingClientRect();
  const list = document.querySelector('.window').getBoundingClientRect();
  return {
    place: Number(document.activeElement.closest('li')?.dataset.place),
    hidden: Math.max(list.top - card.top, card.bottom - Math.min(list.bottom, innerHeight), 0),
  };
}"""


def test_galleries_of_every_width_hold_few_cards_and_keep_the_chosen_one_in_view(
    context: BrowserContext, tmp_path: Path
) -> None:
    write_many(tmp_path / "out", 1000)
    with shown(tmp_path / "out") as address:
        page = opened(context, address)
        for width, height in ((390, 844), (700, 700), (1000, 700)):
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(100)
            page.keyboard.press("Home")
            for _ in range(8):
                page.keyboard.press("ArrowDown")
            focused = page.evaluate(FOCUSED)
            assert focused["place"] >= 16, "eight rows of two cards at least"
            assert focused["hidden"] == 0, (width, focused)
            assert page.locator("li").count() < 100, width
        sizes = ((390, 700), (640, 700), (1400, 900), (360, 640), (768, 1024), (1024, 600))
        for width, height in sizes:
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_timeout(100)
            again = page.evaluate(FOCUSED)
            assert (again["place"], again["hidden"]) == (focused["place"], 0), width
        # As a window is dragged: one frame finds it scrolled and narrower at once.
        page.set_viewport_size({"width": 1400, "height": 700})
        page.wait_for_timeout(100)
        page.evaluate(
            """() => {
              document.querySelector('.window').scrollTop += 1;
              document.body.style.width = '360px';
              return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
            }"""
        )
        assert page.evaluate(FOCUSED)["place"] == focused["place"]
        page.evaluate("document.body.style.width = ''")
        page.locator("[name=words]").fill("1")
        expect(page.locator("li").first).to_be_in_viewport()


def test_every_result_opens_with_the_whole_map_and_reset_brings_it_back(
    context: BrowserContext, tmp_path: Path
) -> None:
    write_results(tmp_path / "out", write_pictures(tmp_path / "in")[:2])
    with shown(tmp_path / "out") as address:
        page = opened(context, address)
        page.locator("li a").first.click()
        page.wait_for_selector("#viewing:not([hidden])")
        for key in ("n", "0"):
            ready(page)
            for pressed in ("a", "k", "g", "b", "s", "s", "Shift+o"):
                page.keyboard.press(pressed)
            expect(page.locator("#divider-value")).to_have_text("10 %")
            assert _switches(page) == {name: not at_first for name, at_first in SWITCHES.items()}
            page.keyboard.press(key)
            expect(page.locator("#divider-value")).to_have_text("0 %")
            expect(page.locator("#opacity-value")).to_have_text("100 %")
            assert _switches(page) == SWITCHES


def _switches(page: Page) -> dict[str, bool]:
    return {name: page.locator(f"#{name}").is_checked() for name in SWITCHES}


def test_captions_follow_the_threshold_as_the_contour_does(
    context: BrowserContext, tmp_path: Path
) -> None:
    write_results(tmp_path / "out", write_pictures(tmp_path / "in")[2:4])
    with shown(tmp_path / "out") as address:
        page = opened(context, address)
        page.locator("li a").first.click()
        page.wait_for_selector("#viewing:not([hidden])")
        ready(page)
        page.keyboard.press("c")
        captions = page.locator("figcaption")
        expect(captions.nth(1)).to_contain_text("at 0.50")
        before = captions.all_inner_texts()
        for _ in range(10):
            page.keyboard.press("t")
        live = page.locator("#live").inner_text().partition(" of ")[0]
        expect(captions.first).to_contain_text(f"{live} at 0.60")
        after = captions.all_inner_texts()
    for old, new in zip(before, after, strict=True):
        assert old.replace("0.50", "0.60") != new, "the severity itself has moved"


def test_pixels_that_are_not_square_are_said_to_be_so(
    context: BrowserContext, tmp_path: Path
) -> None:
    write_results(tmp_path / "out", write_pictures(tmp_path / "in")[2:3])
    (file,) = (tmp_path / "out").glob("*.json")
    document = json.loads(file.read_text())
    with shown(tmp_path / "out") as address:
        for down, said in ((0.4, False), (0.8, True)):
            document["view"]["spacing_mm"] |= {"down": down, "across": 0.4}
            file.write_text(json.dumps(document, indent=None if said else 1))
            page = opened(context, address)
            page.locator("li a").first.click()
            page.wait_for_selector("#viewing:not([hidden])")
            ready(page)
            expect(page.locator(".scale span").first).to_contain_text(" mm")
            assert ("across" in page.locator(".scale span").first.inner_text()) is said
            words = "0.4 mm across by 0.8 mm down"
            assert (words in page.locator("#finding").inner_text()) is said


@pytest.mark.parametrize(
    ("percent", "text"),
    [
        (50.0, "50.0 %"),
        (50.04, "> 50.0 %"),
        (49.96, "< 50.0 %"),
        (50.06, "50.1 %"),
        (24.99, "< 25.0 %"),
        (6.25, "6.2 %"),
        (6.75, "6.8 %"),
        (0.15, "0.1 %"),
        (99.99, "> 99.9 %"),
    ],
)
def test_percentages_stay_in_their_grade_and_round_as_in_python(
    context: BrowserContext, percent: float, text: str
) -> None:
    """Ties are exact ones: 0.15 lies below the tie that it looks like."""
    module = (Path(view.__file__).parent / "static" / "js" / "numbers.js").read_text("utf-8")
    said = context.new_page().evaluate(
        """async ([module, percent]) => {
          const { percentText } = await import(`data:text/javascript,${encodeURIComponent(module)}`);
          return percentText(percent, [25, 50]);
        }""",
        [module, percent],
    )
    assert said == text
