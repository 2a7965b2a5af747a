"""The pages of `infmap-kit view` in a browser."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import BrowserContext, Page

Contexts = Callable[..., BrowserContext]
CANVAS = "figure canvas >> nth=0"


def opened(context: BrowserContext, url: str, source: str = "") -> Page:
    """The gallery, or the result of a source."""
    page = context.new_page()
    page.goto(url)
    ready(page)
    if source:
        page.locator("li a", has_text=source).first.click()
        page.wait_for_selector("#viewing:not([hidden])")
        ready(page)
    return page


def ready(page: Page) -> None:
    page.wait_for_selector("body[data-state=ready]")
