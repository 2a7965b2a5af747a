"""A cohort for its report: four sites, of which one is small, and a device that was changed."""

from __future__ import annotations

import random
from typing import Any

from infmap_kit.cohort.plan import USUAL_TAGS, Plan
from infmap_kit.cohort.report.figures import CohortFigures

SITES = {"North": 60, "South": 30, "East": 12, "West": 3}


def cohort_plan(radiographs: int) -> Plan:
    """A plan of so many radiographs, five of which were named twice."""
    return Plan(
        inputs=["/archive"],
        model={"model_name": "small", "model_version": "7", "precision": "fp32"},
        options={"tags": list(USUAL_TAGS), "task_size": 50},
        stand_in="sha256:0",
        version="0.1.0",
        radiographs=radiographs,
        repeated=5,
        made_at="2026-11-27T22:00:00+00:00",
    )


def cohort_rows() -> list[dict[str, Any]]:
    """Rows as the report reads them, two of them rejected."""
    drawn = random.Random(3)  # noqa: S311
    sites = [site for site, count in SITES.items() for _ in range(count)]
    rows: list[dict[str, Any]] = []
    for number, site in enumerate(sites):
        month = number % 10
        severity = round(drawn.uniform(0, 60), 2)
        rows.append(
            {
                "number": number, "content": f"sha256:{number:032x}", "rejection": None,
                "warnings": ["faint"] if number % 3 == 0 else [], "detected": severity > 20,
                "severity_percent": severity, "pixel_mean": 120.0 + 15 * (month > 5) + number / 100,
                "pixel_std": 60.0, "tag_InstitutionName": site, "tag_Manufacturer": "Maker & Sons",
                "tag_ManufacturerModelName": None, "tag_PatientSex": "FM"[number % 2],
                "tag_AgeBand": ("60-69", "0-9", "90+")[number % 3], "tag_TakenMonth": f"2025-{1 + month:02}",
            }
        )  # fmt: skip
    for code in ("blank", "lateral-view"):
        rows.append({**rows[0], "number": len(rows), "rejection": code})
    return rows


def cohort_figures(smallest: int = 10) -> CohortFigures:
    """The figures of these rows."""
    rows = cohort_rows()
    figures = CohortFigures(cohort_plan(len(rows) + 4), smallest=smallest)
    for row in rows:
        figures.add(row)
    return figures
