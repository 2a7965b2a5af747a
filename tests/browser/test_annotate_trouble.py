"""When something fails: what was decided is kept, counted once, and the doctor is told."""

from __future__ import annotations

import time

import cv2
import numpy as np
from playwright.sync_api import BrowserContext, Route, expect

from annotation import Doctor, Server, Toy, signed_in


def test_a_lost_answer_is_counted_once(context: BrowserContext, server: Server, toy: Toy) -> None:
    """The server saved it, but its answer got lost: the page sends it again."""
    anna = signed_in(context, server, toy)
    sent = []

    def lose_the_first(route: Route) -> None:
        sent.append(route.request.post_data_json)
        if len(sent) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    anna.page.route("**/api/decisions", lose_the_first)
    anna.decide("2")
    assert len(sent) == 2
    assert anna.number == "Radiograph 2 of 7"
    assert [row["slot"] for row in toy.decisions()] == [2]


def test_the_server_ends_and_comes_back(context: BrowserContext, server: Server, toy: Toy) -> None:
    anna = signed_in(context, server, toy)
    server.stop()
    anna.page.keyboard.press("3")
    notice = anna.page.locator("#notice")
    expect(notice).to_contain_text("Your decision is kept on this page and not saved yet")
    anna.page.keyboard.press("1")  # one thing at a time
    server.start()
    expect(anna.page.locator("#number")).to_have_text("Radiograph 2 of 7")
    expect(notice).to_be_hidden()
    assert [row["slot"] for row in toy.decisions()] == [3]


def test_try_now(context: BrowserContext, server: Server, toy: Toy) -> None:
    """Whoever does not want to wait for the next try asks for it."""
    anna = signed_in(context, server, toy)
    tried: list[str] = []

    def lose(route: Route) -> None:
        tried.append(route.request.url)
        route.abort()

    anna.page.route("**/api/decisions", lose)
    anna.page.keyboard.press("3")
    expect(anna.page.locator("#notice")).to_contain_text("not saved yet")
    # By itself the page waits eight seconds between two tries when it has tried a few times.
    for _ in range(6):
        before = len(tried)
        anna.page.get_by_role("button", name="Try now").click()
        until = time.monotonic() + 4
        while len(tried) == before and time.monotonic() < until:
            anna.page.wait_for_timeout(50)
        assert len(tried) > before
    assert toy.decisions() == []


def test_a_reload_while_a_decision_waits(context: BrowserContext, server: Server, toy: Toy) -> None:
    anna = signed_in(context, server, toy)
    anna.page.on("dialog", lambda dialog: dialog.accept())  # "leave this page?"
    anna.page.route("**/api/decisions", lambda route: route.abort())
    anna.page.keyboard.press("4")
    expect(anna.page.locator("#notice")).to_contain_text("not saved yet")
    anna.page.unroute_all(behavior="ignoreErrors")
    anna.page.reload()
    anna.wait()
    assert anna.number == "Radiograph 2 of 7"
    assert [row["slot"] for row in toy.decisions()] == [4]


def test_a_session_that_ended(context: BrowserContext, server: Server, toy: Toy) -> None:
    anna = signed_in(context, server, toy)
    toy.execute("DELETE FROM session")
    anna.page.keyboard.press("2")
    expect(anna.page.locator("#notice")).to_contain_text("You are signed out")
    with context.expect_page() as opened:
        anna.page.get_by_role("link", name="Sign in").click()
    Doctor(opened.value, server.url).sign_in("anna", toy.tokens["anna"]).wait()
    anna.page.bring_to_front()
    expect(anna.page.locator("#number")).to_have_text("Radiograph 2 of 7")
    assert [row["slot"] for row in toy.decisions()] == [2]


def test_an_expired_token(context: BrowserContext, server: Server, toy: Toy) -> None:
    anna = signed_in(context, server, toy)
    toy.execute("UPDATE reader SET expires_at = '2020-01-01T00:00:00.000+00:00'")
    anna.page.keyboard.press("2")
    expect(anna.page.locator("#notice")).to_contain_text("You are signed out")
    other = Doctor(context.new_page(), server.url).sign_in("anna", toy.tokens["anna"])
    expect(other.page.get_by_role("alert")).to_contain_text("expired on 2020-01-01")
    assert toy.decisions() == []


def test_a_wrong_token(context: BrowserContext, server: Server, toy: Toy) -> None:
    anna = Doctor(context.new_page(), server.url).sign_in("anna", "guess")
    expect(anna.page.get_by_role("alert")).to_contain_text("do not belong together")
    expect(anna.page.get_by_label("Name")).to_have_value("anna")
    expect(anna.page.get_by_label("Token")).to_be_focused()


def test_a_radiograph_that_is_gone(context: BrowserContext, server: Server, toy: Toy) -> None:
    data = toy.folder.parent / "data" / "images"
    kept = {path: path.read_bytes() for path in data.iterdir()}
    for path in kept:
        path.unlink()
    anna = Doctor(context.new_page(), server.url).sign_in("anna", toy.tokens["anna"]).wait("failed")
    assert "cannot be shown" in anna.notice
    anna.page.keyboard.press("1")  # nobody picks what nobody saw
    for path, content in kept.items():
        path.write_bytes(content)
    anna.page.get_by_role("button", name="Try again").click()
    anna.wait()
    assert toy.decisions() == []


def test_a_mask_of_another_size(context: BrowserContext, server: Server, toy: Toy) -> None:
    """A browser that gets a wrong picture says so instead of showing it shifted."""
    content = cv2.imencode(".png", np.zeros((10, 12), np.uint8))[1].tobytes()
    page = context.new_page()
    page.route(
        "**/masks/2.png", lambda route: route.fulfill(body=content, content_type="image/png")
    )
    anna = Doctor(page, server.url).sign_in("anna", toy.tokens["anna"]).wait("failed")
    assert "expected a picture of 300x320, found 12x10" in anna.notice


def test_a_mask_that_is_missing(context: BrowserContext, server: Server, toy: Toy) -> None:
    """The others stay choosable, at their own numbers."""
    for path in (toy.folder / "masks").iterdir():
        path.unlink()
        break
    anna = signed_in(context, server, toy)
    while anna.page.locator("#missing").is_hidden():
        anna.decide("s")
    assert anna.page.locator("#missing").inner_text().startswith("1 of ")
    slots = anna.page.locator(".panel").evaluate_all("all => all.map(p => Number(p.dataset.slot))")
    last = slots[-1]
    anna.decide(str(last))
    assert toy.decisions()[-1]["slot"] == last


def test_a_page_that_is_not_there(context: BrowserContext, server: Server, toy: Toy) -> None:
    page = context.new_page()
    page.goto(f"{server.url}/elsewhere")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_role("link", name="To the start")).to_be_visible()
