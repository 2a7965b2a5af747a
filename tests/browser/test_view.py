"""Looking through results in Chromium: what the reader sees, does by the keyboard alone, and leaves behind."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from accessibility import faults
from annotation import canvas_pixels
from infmap_kit import view
from infmap_kit.model.paint import COLOURS, Paint
from infmap_kit.results.view import in_16_bits
from infmap_kit.view.export import export_results
from pictures import read_picture
from shown_numbers import EXAMPLES
from view_pages import CANVAS, Contexts, opened, ready
from view_results import HOSTILE, field, shown, write_painted, write_pictures, write_results

PHONE, TABLET, DESKTOP = (400, 800), (900, 800), (1600, 900)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("view")
    write_results(made / "out", write_pictures(made / "in"))
    return made


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with shown(folder / "out", identify=True) as address:
        yield address


def severity(page: Page) -> float:
    return float(page.locator("#live").inner_text().split()[0])


def test_every_request_stays_here_and_nothing_of_a_file_acts(
    context: BrowserContext, url: str
) -> None:
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = opened(context, url, HOSTILE[:10])
    expect(page.locator("#title")).to_contain_text(HOSTILE)
    assert page.locator("img[src=x]").count() == 0
    assert all(one.startswith((url.partition("?")[0], "blob:")) for one in asked)


def test_the_page_writes_numbers_as_every_other_result_does(context: BrowserContext) -> None:
    said = context.new_page().evaluate(
        """async ([module, examples]) => {
          const { probabilityText } = await import(`data:text/javascript,${encodeURIComponent(module)}`);
          return examples.map(([value, threshold]) => probabilityText(value, threshold));
        }""",
        [
            (Path(view.__file__).parent / "static" / "js" / "numbers.js").read_text("utf-8"),
            [[value, threshold] for value, threshold, _ in EXAMPLES],
        ],
    )
    assert said == [text for *_, text in EXAMPLES]


def test_axe_finds_no_serious_fault(new_context: Contexts, url: str, axe: str) -> None:
    found: list[str] = []
    for scheme in ("light", "dark"):
        context = new_context(color_scheme=scheme, bypass_csp=True)
        for source in ("", "chest_0.dcm", "notes.txt"):
            page = opened(context, url, source)
            found += faults(page, axe)
            if source == "chest_0.dcm":
                page.keyboard.press("c")
                page.keyboard.press("?")
                found += faults(page, axe)
    assert found == []


@pytest.mark.parametrize("size", [PHONE, TABLET, DESKTOP], ids="{0[0]}".format)
def test_nothing_is_cut_off_at_the_side(
    new_context: Contexts, url: str, size: tuple[int, int]
) -> None:
    context = new_context(viewport={"width": size[0], "height": size[1]})
    for source in ("", "chest_0.dcm"):
        page = opened(context, url, source)
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        for control in page.locator("button:visible, input:visible, select:visible").all():
            box = control.bounding_box()
            assert box
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= size[0] + 1, control


def test_the_severity_at_the_models_threshold_is_the_served_one(
    context: BrowserContext, tmp_path: Path
) -> None:
    """A hundred fields with pixels next to a half; and at 0.3 and 0.7, which the server states too."""
    pictures = write_pictures(tmp_path / "in", size=(90, 80))[:1] * 100
    documents = write_results(tmp_path / "out", pictures)
    assert min(abs(field(n).astype(np.float64) - 0.5).min() for n in range(100)) < 1e-6
    with shown(tmp_path / "out") as address:
        page = opened(context, address, "chest_1.png")
        live, served = [], []
        for number in range(100):
            expect(page.locator("#title")).to_contain_text(f"{number + 1} of 100")
            ready(page)
            live.append(page.evaluate(SEVERITIES))
            served.append(float(page.locator("#served").inner_text().split()[0]))
            page.keyboard.press("n")
    assert np.abs(np.array(live)[:, 2] - served).max() <= 0.1
    stated = [
        [*(one["severity_at_threshold"][at] for at in ("0.3", "0.7")), one["severity_percent"]]
        for one in documents
    ]
    assert len({row[2] for row in stated}) > 90, "they are a hundred different cases"
    assert np.abs(np.sort(live, axis=0) - np.sort(stated, axis=0)).max() <= 0.1


SEVERITIES = """() => [0.3, 0.7, 0.5].map((threshold) => {
  const slider = document.querySelector('#threshold');
  slider.value = threshold;
  slider.dispatchEvent(new Event('input'));
  return parseFloat(document.querySelector('#live').textContent);
})"""


def test_half_a_probability_lies_between_two_steps() -> None:
    below, half = np.nextafter(np.float32(0.5), np.float32(0)), np.float32(0.5)
    assert in_16_bits(np.array([below, half, 0, 1], np.float32)).tolist() == [
        32767,
        32768,
        0,
        65535,
    ]


def test_the_radiograph_is_shown_as_the_model_had_it(
    new_context: Contexts, url: str, folder: Path
) -> None:
    """At its own size, divider at the right: pixel for pixel the map's own brightness."""
    context = new_context(viewport={"width": 1400, "height": 900})
    page = opened(context, url, "chest_0.dcm")
    page.keyboard.press("g")
    for _ in range(20):
        page.keyboard.press("s")
    expect(page.locator("#divider-value")).to_have_text("100 %")
    canvas = canvas_pixels(page, "figure canvas >> nth=0").astype(int)
    map_ = read_picture(folder / "out" / "chest_0.infection_map.png").astype(int)
    served = map_.max(axis=2)  # jet at full value times the radiograph
    height, width = served.shape
    scale = min(canvas.shape[0] / height, canvas.shape[1] / width)
    rows = ((np.arange(40, 360, 20) + 0.5) * scale + (canvas.shape[0] - height * scale) / 2).astype(
        int
    )
    columns = (
        (np.arange(40, 320, 20) + 0.5) * scale + (canvas.shape[1] - width * scale) / 2
    ).astype(int)
    there = canvas[np.ix_(rows, columns)]
    expected = served[np.ix_(np.arange(40, 360, 20), np.arange(40, 320, 20))]
    assert (there.max(axis=2) == there.min(axis=2)).all(), "nothing is painted there"
    assert np.median(np.abs(there[..., 0] - expected)) <= 3


@pytest.mark.parametrize("place", ["everywhere", "lungs"])
def test_maps_look_as_they_were_served(new_context: Contexts, tmp_path: Path, place: str) -> None:
    """At its defaults, a pixel of the screen for each of the radiograph's; by the served graph itself."""
    paints = [
        Paint(paint=paint, colours=colours, paint_in=place, paint_from=lowest)
        for paint, lowest in (("opacity", 0.25), ("paper", 0.0))
        for colours in COLOURS
    ]
    served = write_painted(tmp_path, paints)
    context = new_context(viewport={"width": 1400, "height": 900}, bypass_csp=True)
    with shown(tmp_path / "out") as address:
        page = opened(context, address)
        page.locator("form.filters [name=order]").select_option("name")
        page.locator("li a").first.click()
        page.wait_for_selector("#viewing:not([hidden])")
        ready(page)
        page.add_style_tag(
            content=".picture { width: 360px; height: 400px; flex: none !important }"
        )
        # The whole map is what a result opens with.
        expect(page.locator("#divider-value")).to_have_text("0 %")
        expect(page.locator("#opacity-value")).to_have_text("100 %")
        for number in range(len(paints)):
            expect(page.locator("#title")).to_contain_text(f"{number + 1} of {len(paints)}")
            ready(page)
            for key in ("g", "k"):
                page.keyboard.press(key)
            name = page.locator("#title").inner_text().partition(": ")[2]
            differences = np.abs(canvas_pixels(page, CANVAS).astype(int) - served.pop(name))
            # Where the 16 bits of what was kept lie across an edge of paint, a pixel gets the other side's.
            assert (differences.max(axis=2) <= 2).mean() > 0.999, name
            page.keyboard.press("n")
    assert served == {}


def test_the_keyboard_alone_suffices(context: BrowserContext, tmp_path: Path) -> None:
    write_results(tmp_path / "out", write_pictures(tmp_path / "in"))
    with shown(tmp_path / "out", identify=True) as address:
        page = opened(context, address)
        keys = page.keyboard
        keys.press("/")
        keys.type("chest_0")
        expect(page.locator("li")).to_have_count(1)
        keys.press("Escape")
        keys.press("Enter")
        ready(page)
        expect(page.locator("#title")).to_contain_text("chest_0.dcm")
        before = severity(page)
        for _ in range(10):
            keys.press("Shift+t")
        expect(page.locator("#threshold-value")).to_have_text("0.40")
        assert severity(page) > before
        window = page.locator("#window-value").inner_text()
        keys.press("w")
        assert page.locator("#window-value").inner_text() != window
        shown_before = canvas_pixels(page, "figure canvas >> nth=0")
        for key in ("k", "g", "a", "+", "ArrowLeft", "o"):
            keys.press(key)
        assert not np.array_equal(canvas_pixels(page, "figure canvas >> nth=0"), shown_before)
        keys.press("c")
        expect(page.locator("figcaption").nth(1)).to_contain_text("chest_1.dcm")
        keys.press("y")
        expect(page.locator("#kept")).to_have_text("Kept.")
        keys.press("e")
        keys.type("35")
        keys.press("Escape")
        keys.press("m")
        keys.type("left base, n and p are letters here")
        keys.press("Escape")
        expect(page.locator("#kept")).to_have_text("Kept.")
        page.wait_for_timeout(800)
        keys.press("Escape")
        expect(page.locator("li .badges").first).to_contain_text("agree")
    with (tmp_path / "out" / "opinions" / "anna" / "opinions.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["mark"], row["severity_percent"], row["threshold"]) == ("agree", "35", "0.4")
    assert row["note"] == "left base, n and p are letters here"


def test_two_radiographs_move_together(context: BrowserContext, url: str) -> None:
    page = opened(context, url, "chest_0.dcm")
    page.keyboard.press("c")
    expect(page.locator("figure").nth(1)).to_be_visible()
    page.wait_for_timeout(300)
    bars = page.locator(".scale span")
    before = bars.all_inner_texts()
    assert before[0] == before[1]
    assert before[0].endswith(" mm")
    for _ in range(8):
        page.keyboard.press("+")
    expect(bars.nth(1)).not_to_have_text(before[1])
    assert len(set(bars.all_inner_texts())) == 1


def test_filters_and_orders(context: BrowserContext, url: str) -> None:
    page = opened(context, url)

    def names() -> list[str]:
        return page.locator("li .name").all_inner_texts()

    form = page.locator("form.filters")
    form.locator("[name=kind]").select_option("rejected")
    assert names() == ["notes.txt"]
    form.locator("[name=kind]").select_option("disagreement")
    assert len(names()) == 4
    form.locator("[name=from]").fill("2026-03-05")
    form.locator("[name=to]").fill("2026-03-31")
    assert names() == ["chest_1.dcm"]
    form.locator("[type=reset]").click()
    page.wait_for_timeout(50)
    form.locator("[name=order]").select_option("oldest")
    assert names()[:2] == ["chest_0.dcm", "chest_1.dcm"]
    form.locator("[name=severity]").fill("50")
    expect(form.locator("output")).to_have_text("1 of 5 results")


def test_results_without_the_pictures_say_how_to_keep_them(
    context: BrowserContext, tmp_path: Path
) -> None:
    write_results(tmp_path / "out", write_pictures(tmp_path / "in")[:1], formats=("png", "json"))
    with shown(tmp_path / "out") as address:
        page = opened(context, address, "chest_1.png")
        expect(page.locator("#finding")).to_contain_text("--format png,json,view")
        expect(page.locator("#threshold")).to_be_disabled()
        assert canvas_pixels(page, "figure canvas >> nth=0").std() > 10, (
            "the map is shown all the same"
        )


def test_an_exported_page_opens_as_a_file(
    context: BrowserContext, folder: Path, tmp_path: Path
) -> None:
    export_results(folder / "out", tmp_path / "page", reader="anna")
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = opened(context, (tmp_path / "page" / "index.html").as_uri(), "chest_1.png")
    assert abs(severity(page) - float(page.locator("#served").inner_text().split()[0])) <= 0.1
    assert "SECRET" not in page.content()
    page.keyboard.press("d")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save opinions").click()
    (row,) = csv.DictReader(download.value.path().read_text().splitlines())
    assert (row["name"], row["mark"]) == ("chest_1", "disagree")
    assert all(one.startswith(("file:", "blob:")) for one in asked)


def test_what_cannot_be_shown_leaves_no_other_picture_under_its_name(
    context: BrowserContext, tmp_path: Path
) -> None:
    write_results(tmp_path / "out", write_pictures(tmp_path / "in")[:2])
    small = (tmp_path / "out" / "chest_1.lungs.png").read_bytes()
    (tmp_path / "out" / f"{HOSTILE}.radiograph.png").write_bytes(small)
    with shown(tmp_path / "out") as address:
        page = opened(context, address, "chest_1.png")
        page.keyboard.press("n" if page.locator("#after").is_enabled() else "p")
        page.wait_for_selector("body[data-state=failed]")
        expect(page.locator("#notice")).to_contain_text("its size is not that of its radiograph")
        assert canvas_pixels(page, "figure canvas >> nth=0").max() == 0
        page.keyboard.press("y")
    assert not (tmp_path / "out" / "opinions").exists()


def test_probabilities_of_another_result_are_noticed(
    context: BrowserContext, tmp_path: Path
) -> None:
    write_results(tmp_path / "out", write_pictures(tmp_path / "in")[:2])
    other = (tmp_path / "out" / f"{HOSTILE}.probability.png").read_bytes()
    (tmp_path / "out" / "chest_1.probability.png").write_bytes(other)
    with shown(tmp_path / "out") as address:
        page = opened(context, address, "chest_1.png")
        expect(page.locator("#finding")).to_contain_text("they may be another result's")


def test_a_mark_stays_with_its_threshold(context: BrowserContext, tmp_path: Path) -> None:
    write_results(tmp_path / "out", write_pictures(tmp_path / "in")[:1])
    with shown(tmp_path / "out") as address:
        page = opened(context, address, "chest_1.png")
        for key in (*["Shift+t"] * 10, "y"):
            page.keyboard.press(key)
        expect(page.locator("#kept")).to_have_text("Kept.")
        page.reload()
        ready(page)
        expect(page.locator("#threshold-value")).to_have_text("0.40")
        page.keyboard.press("0")
        page.keyboard.press("m")
        page.keyboard.type("seen again")
        page.keyboard.press("Escape")
        expect(page.locator("#kept")).to_have_text("Kept.")
    with (tmp_path / "out" / "opinions" / "anna" / "opinions.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["threshold"], row["note"]) == ("0.4", "seen again")
