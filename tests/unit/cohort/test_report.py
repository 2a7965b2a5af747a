"""What a cohort's page says, and what it keeps to itself."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow", reason="the cohort extra is not installed")

from cohort_figures import SITES, cohort_figures, cohort_plan, cohort_rows
from infmap_kit.cohort.parts import PartWriter
from infmap_kit.cohort.plan import USUAL_TAGS
from infmap_kit.cohort.report.page import page, write_report
from infmap_kit.cohort.rows import schema_of
from infmap_kit.errors import InfmapError, SpecError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run whose rows are on disk."""
    rows = cohort_rows()
    plan = cohort_plan(len(rows))
    with contextlib.closing(PartWriter(tmp_path, schema_of(USUAL_TAGS))) as writer:
        for task in range(plan.tasks):
            writer.write(task, rows[task * 50 : (task + 1) * 50])
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "plan.json").write_text(json.dumps(dataclasses.asdict(plan)))
    return tmp_path


def test_groups_are_counted_as_by_hand(folder: Path) -> None:
    figures = write_report(folder, folder / "report.html")
    answered = [row for row in cohort_rows() if row["rejection"] is None]
    groups, hidden = figures.groups("PatientSex")
    assert hidden == 0
    assert {value: group.answered for value, group in groups} == Counter(
        row["tag_PatientSex"] for row in answered
    )
    for value, group in groups:
        severities = [r["severity_percent"] for r in answered if r["tag_PatientSex"] == value]
        assert group.severity_percent == pytest.approx(np.mean(severities), rel=1e-5)
        error = np.std(severities) / np.sqrt(len(severities))
        assert group.severity_error == pytest.approx(error, rel=1e-4)
    worst = sorted(answered, key=lambda row: -row["severity_percent"])[:5]
    assert [content for _, content in figures.worst.listed()] == [row["content"] for row in worst]
    assert figures.rejected == {"blank": 1, "lateral-view": 1}


def test_a_small_group_cannot_be_found_out() -> None:
    """Neither by its name, nor by what is missing from the total: the next one goes with it."""
    figures = cohort_figures()
    shown, hidden = figures.groups("InstitutionName")
    assert [name for name, _ in shown] == ["North", "South"]
    assert hidden == 2
    rest = figures.all.answered - sum(group.answered for _, group in shown)
    assert rest == SITES["East"] + SITES["West"] >= figures.smallest
    text = page(figures)
    assert "West" not in text
    assert "East" not in text
    assert "2 groups are left out: of fewer than 10 radiographs" in text
    shown, hidden = cohort_figures(smallest=3).groups("InstitutionName")
    assert len(shown) == 4
    assert hidden == 0


def test_the_flow_adds_up() -> None:
    figures = cohort_figures()
    assert figures.plan.radiographs == figures.rows + figures.waiting
    assert figures.rows == figures.all.answered + figures.rejected.total()
    text = re.sub(r"<[^>]+>", " ", page(figures))
    for said in ("5 named again", "4 not yet", "1 blank", "1 lateral-view", "105"):
        assert said in text


def test_a_change_of_device_shows_in_the_months() -> None:
    months = cohort_figures().months()
    assert [month for month, _ in months] == [f"2025-{n:02}" for n in range(1, 11)]
    means = [group.mean / group.answered for _, group in months]
    assert max(means[:6]) + 10 < min(means[6:])


def test_what_cannot_be_read_is_refused(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.raises(SpecError):
        write_report(tmp_path_factory.mktemp("empty"), folder / "x.html")
    part = next((folder / "rows").rglob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(InfmapError, match="is not what the manifest"):
        write_report(folder, folder / "report.html")
