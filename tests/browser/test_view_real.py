"""Real radiographs through the real model into the page: its severity is the served one."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from playwright.sync_api import BrowserContext, expect

from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.results.folder import ResultOptions
from infmap_kit.results.infer import InferenceRun
from infmap_kit.serving.in_process import open_repository
from infmap_kit.targets.embedded import EmbeddedOptions
from view_results import shown

PICTURES = int(os.environ.get("INFMAP_VIEW_PICTURES", "10"))


def test_the_severity_of_real_radiographs_is_the_served_one(
    context: BrowserContext,
    shared_data: Path,
    chest_dicoms: list[Path],
    demo_model: Path,
    tmp_path: Path,
) -> None:
    found = sorted((shared_data / "images").glob("qata_*.png"))
    pictures = [*found[:: max(len(found) // PICTURES, 1)][:PICTURES], *chest_dicoms]
    repository = tmp_path / "model_repository"
    publish(
        read_source(demo_model), repository, EmbeddedOptions(), pictures=synthetic_pictures()[:2]
    )
    options = ResultOptions(formats=("png", "json", "view"))
    with open_repository(repository) as model:
        outcomes = list(InferenceRun(pictures, tmp_path / "out", model, options=options))
    answered = [outcome.document for outcome in outcomes if outcome.rejection is None]
    with shown(tmp_path / "out") as address:
        page = context.new_page()
        page.goto(address)
        page.wait_for_selector("body[data-state=ready] li")
        page.locator("select[name=order]").select_option("name")
        page.locator("li a").first.click()
        seen = {}
        for number in range(len(outcomes)):
            expect(page.locator("#title")).to_contain_text(f"{number + 1} of {len(outcomes)}: ")
            page.wait_for_selector("body[data-state=ready]")
            name = page.locator("#title").inner_text().partition(": ")[2]
            if page.locator("#live").count():
                seen[name] = float(page.locator("#live").inner_text().split()[0])
            page.keyboard.press("n")
    served = {document["source"]: document["severity_percent"] for document in answered}
    assert seen.keys() == served.keys()
    assert max(abs(seen[name] - served[name]) for name in served) <= 0.1
    assert np.ptp(list(served.values())) > 1, "they are different cases"
