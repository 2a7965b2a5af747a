"""What all pages keep to: accessible, in both themes, at a desk and on a tablet, and nobody else is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from accessibility import faults
from annotation import Doctor, Server, Toy, make_study, served, signed_in, synthetic_cases

Contexts = Callable[..., BrowserContext]
DESKTOP, TABLET, UPRIGHT = (1440, 900), (1180, 820), (820, 1180)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Toy, Server]]:
    toy = make_study(
        tmp_path_factory.mktemp("study"), synthetic_cases(3), stage_one=3, draw_in_stage_one=True
    )
    with served(toy) as server:
        yield toy, server


def to_sign_in(page: Page, url: str) -> None:
    page.goto(f"{url}/sign-in")


def to_error(page: Page, url: str) -> None:
    page.goto(f"{url}/nowhere")


def to_candidates(page: Page, url: str) -> None:
    page.goto(f"{url}/pick")
    page.wait_for_selector("body[data-state=ready]")


def to_help(page: Page, url: str) -> None:
    to_candidates(page, url)
    page.keyboard.press("?")


def to_notice(page: Page, url: str) -> None:
    to_candidates(page, url)
    page.route("**/api/decisions", lambda route: route.abort())
    page.keyboard.press("1")
    page.wait_for_selector("#notice:not([hidden])")


def to_drawing(page: Page, url: str) -> None:
    to_candidates(page, url)
    page.keyboard.press("d")
    page.wait_for_selector("body[data-state=ready] #canvas")


PAGES = [to_sign_in, to_error, to_candidates, to_help, to_notice, to_drawing]


@pytest.fixture(scope="module")
def opened(study: tuple[Toy, Server], browser: Browser) -> Iterator[dict[str, Page]]:
    """Every kind of page, and the notice and the help over one."""
    toy, server = study
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    signed_in(context, server, toy)
    pages = {}
    for to_page in PAGES:
        pages[to_page.__name__] = page = context.new_page()
        to_page(page, server.url)
    owner = browser.new_context()
    pages["stats"] = owner.new_page()
    Doctor(pages["stats"], server.url).sign_in("owner", toy.tokens["owner"])
    pages["stats"].wait_for_url("**/stats")
    yield pages
    context.close()
    owner.close()


def test_axe_finds_no_serious_fault(opened: dict[str, Page], axe: str) -> None:
    found = {name: listed for name, page in opened.items() if (listed := faults(page, axe))}
    assert found == {}


def test_dark_is_legible_too(opened: dict[str, Page], axe: str) -> None:
    found = {}
    for name, page in opened.items():
        page.emulate_media(color_scheme="dark")
        if listed := faults(page, axe, "color-contrast"):
            found[name] = listed
    assert found == {}


def test_axe_would_find_one(axe: str, context: BrowserContext) -> None:
    """The test above can fail."""
    page = context.new_page()
    page.set_content("<html><body><button></button></body></html>")
    assert any(fault.startswith("button-name") for fault in faults(page, axe))


@pytest.mark.parametrize("size", [DESKTOP, TABLET, UPRIGHT])
def test_the_pictures_have_the_room(
    study: tuple[Toy, Server], new_context: Contexts, size: tuple[int, int]
) -> None:
    """Nothing scrolls, nothing is cut off, and most of the screen is radiograph."""
    toy, server = study
    width, height = size
    context = new_context(viewport={"width": width, "height": height})
    page = signed_in(context, server, toy).page
    for selector in (".panels", None):
        if selector is None:
            to_drawing(page, server.url)
        cut = page.evaluate(
            """() => [...document.querySelectorAll('button, input, output, canvas, progress, h1')].filter(e => {
                 const box = e.getBoundingClientRect();
                 return box.width
                   && (box.right > innerWidth + 1 || box.bottom > innerHeight + 1 || box.left < -1);
               }).map(e => e.outerHTML.slice(0, 80))"""
        )
        assert cut == []
        box = page.locator(selector or "#canvas").bounding_box()
        assert box
        assert box["width"] * box["height"] > 0.7 * width * height


def test_the_viewing_area_is_dark_in_both_themes(
    study: tuple[Toy, Server], new_context: Contexts
) -> None:
    toy, server = study
    ground = {}
    for scheme in ("light", "dark"):
        page = signed_in(new_context(color_scheme=scheme), server, toy).page
        ground[scheme] = page.evaluate(
            "() => ['.panels', '.tools'].map(s => getComputedStyle(document.querySelector(s)).backgroundColor)"
        )
    assert ground["light"][0] == ground["dark"][0] == "rgb(0, 0, 0)"
    assert ground["light"][1] != ground["dark"][1]


def test_no_keyboard_trap(study: tuple[Toy, Server], new_context: Contexts) -> None:
    """Tab leads through everything, round and out; what has the focus shows it."""
    toy, server = study
    page = signed_in(new_context(), server, toy).page
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                """() => { const e = document.activeElement;
                  if (e === document.body) return '';
                  return e.getAttribute('aria-label') || e.id || e.textContent.trim(); }"""
            )
        )
    assert {
        "help-button",
        "Pick candidate 1",
        "Pick candidate 4",
        "opacity",
        "window",
        "level",
    } <= set(seen)
    assert seen.count("help-button") > 1


@pytest.mark.parametrize("to_page", [to_candidates, to_drawing])
def test_the_documented_keys_are_the_helps(
    study: tuple[Toy, Server], new_context: Contexts, to_page: Callable[[Page, str], None]
) -> None:
    toy, server = study
    page = signed_in(new_context(), server, toy).page
    to_page(page, server.url)
    rows = page.locator("#help tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent.trim().replace(/ +/g, ' ')))"
    )
    documented = (Path(__file__).parents[2] / "docs" / "annotate.md").read_text(encoding="utf-8")
    assert len(rows) > 10
    assert [row for row in rows if f"| {row[0]} | {row[1]} |" not in documented] == []


def test_no_request_leaves_the_machine(
    study: tuple[Toy, Server], launch: Callable[..., Browser], tmp_path: Path
) -> None:
    """By the browser's own network log, where what the browser does for itself has no page's origin."""
    toy, server = study
    log = tmp_path / "net.json"
    running = launch(f"--log-net-log={log}")
    anna = signed_in(running.new_context(), server, toy, "ben")
    anna.decide("1").decide("u")
    to_drawing(anna.page, server.url)
    # Not even if somebody managed to put a request into a page: its own rules stop it.
    anna.page.evaluate("() => fetch('http://elsewhere.invalid/').catch(() => {})")
    running.close()
    events = [event.get("params", {}) for event in json.loads(log.read_text())["events"]]
    ours = {one["url"] for one in events if one.get("initiator") == server.url and "url" in one}
    assert any(url.endswith("/static/js/decoder.js") for url in ours)
    assert any(url.endswith("/masks/1.png") for url in ours)
    assert {url for url in ours if not url.startswith(f"{server.url}/")} == set()
