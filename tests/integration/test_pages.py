"""Every page of README and site does what it says: its blocks run, in its order, and print what it shows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pages.blocks import ROOT, WHOLE_PAGES, blocks, documents
from pages.desk import lay_out
from pages.terminal import run_page

RUNNING = [
    page
    for page in documents()
    if str(page.relative_to(ROOT)) not in WHOLE_PAGES and any(block.runs for block in blocks(page))
]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, chest_dicoms: list[Path]) -> Path:
    return lay_out(tmp_path_factory.mktemp("pages") / "desk", chest_dicoms)


@pytest.mark.parametrize("page", RUNNING, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_does_what_it_says(page: Path, desk: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(desk, tmp_path / "desk")
    run_page(blocks(page), folder)
