"""What axe, the accessibility checker, says of a page."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page


def faults(page: Page, axe: str, *rules: str) -> list[str]:
    """What axe calls serious or critical: rule, and the first element; some rules alone where named."""
    page.evaluate(axe)
    options = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    found: dict[str, Any] = page.evaluate("options => axe.run(options)", options)
    serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
    firsts = [(one["id"], one["nodes"][0]) for one in serious]
    return [
        f"{rule}: {node['html'][:120]} {node.get('failureSummary', '')}" for rule, node in firsts
    ]
