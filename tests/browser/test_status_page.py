"""The node's status page at a desk and on a phone: everything is seen without scrolling sideways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext

from accessibility import faults
from infmap_kit.node.web.page import page as status_html
from node_status import node_status

Contexts = Callable[..., BrowserContext]


def _troubled() -> dict[str, Any]:
    """A node with long names and reasons, as a hospital has them."""
    seen = node_status(
        "expected 2048 MiB free on the spool's disk, found 10", "the model server is away"
    )
    trouble = (
        "it does not answer: triton-inference.radiology.hospital.example:8001 (connection refused)"
    )
    model = {
        "name": "adult",
        "url": "triton-inference.radiology.hospital.example:8001",
        "trouble": trouble,
    }
    failed = {**seen["worklist"][0], "reason": f"given up after 5 attempts: {trouble}"}
    return {
        **seen,
        "models": [*seen["models"], model],
        "warnings": ["a certificate ends in 12 days: /etc/infmap-kit/secrets/archive-of-the-clinic.pem"],
        "worklist": [*seen["worklist"], failed],
    }  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 900, 1280])
def test_everything_is_inside_the_window(
    new_context: Contexts, tmp_path: Path, axe: str, width: int, scheme: str
) -> None:
    path = tmp_path / "status.html"
    # It renews itself every ten seconds, which this test may take.
    path.write_text(
        status_html(_troubled()).replace('<meta http-equiv="refresh" content="10">', "")
    )
    page = new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
    page.goto(path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == width
    # What is wider than its place is cut there.
    places = page.locator("td, th, p, h1, h2, dd, .wide")
    assert places.count() > 60
    cut = places.evaluate_all(
        "found => found.filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.innerText)"
    )
    assert cut == []
    assert faults(page, axe) == []
