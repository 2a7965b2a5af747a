"""The tutorials run from their first block to their last, and leave what they say."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from pages.blocks import ROOT, blocks
from pages.terminal import run_page

TUTORIALS = ROOT / "docs" / "tutorials"

pytestmark = [pytest.mark.slow, pytest.mark.train]


def test_synthetic_radiographs_become_a_served_model(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="needs infmap-kit[train]")
    run_page(blocks(TUTORIALS / "first-model.md"), tmp_path)
    answers = [json.loads(path.read_text()) for path in (tmp_path / "maps").glob("*.json")]
    drawn = {path.name for path in (tmp_path / "drawn" / "images").iterdir()}
    assert {answer["source"] for answer in answers} == drawn
    spec = json.loads((tmp_path / "runs" / "first" / "spec.json").read_text())
    assert {answer["model"]["onnx_sha256"] for answer in answers} == {
        spec["files"]["segmentation.onnx"]
    }


def test_a_public_data_sets_layout_becomes_table_1(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="needs infmap-kit[train]")
    run_page(blocks(TUTORIALS / "paper-tables.md"), tmp_path)
    with (tmp_path / "set" / "index.csv").open(newline="") as table:
        kinds = [row["class"] for row in csv.DictReader(table)]
    assert (kinds.count("covid"), kinds.count("normal")) == (8, 8)
    tables = (tmp_path / "summary" / "summary.md").read_text(encoding="utf-8")
    (row,) = (line for line in tables.splitlines()[:30] if "(2 of 2 folds)" in line)
    measured = [float(cell.split()[0]) for cell in row.split("|")[2:-1]]
    assert len(measured) == 7
    assert all(0 <= percent <= 100 for percent in measured)
