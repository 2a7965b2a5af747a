"""A course for scripts and spreadsheets."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping
from typing import Any

from infmap_kit.progression.change import RULE, Change
from infmap_kit.progression.course import PARTS, Course, Point
from infmap_kit.progression.noise import Range
from infmap_kit.progression.result import SIDES

_FORMULA = ("=", "+", "-", "@")


def course_document(course: Course) -> dict[str, Any]:
    """The course for scripts."""
    patients = [point.result.patient for point in course.points if point.result.patient]
    return {
        "kind": "infmap-kit progression",
        "severity_of": course.severity_of,
        "patient": patients[0] if patients else None,
        "models": course.models,
        "times_shifted": course.is_shifted,
        "results": [_point_document(course, point) for point in course.points],
        "since_first": _change_documents(course.since_first),
        "rule": RULE,
        "noise": course.noise_sentence,
        "skipped": [dataclasses.asdict(one) for one in course.skipped],
        "notes": list(course.notes),
        "notice": "For research use, not a medical device.",
    }


def _point_document(course: Course, point: Point) -> dict[str, Any]:
    result, severity = point.result, point.result.severity
    return {
        "source": result.source,
        "file": result.file.name,
        "study_time": result.taken.isoformat() if result.taken and not result.is_shifted else None,
        "day": round(point.day, 5),
        "detected": result.detected,
        "probability_max": result.probability_max,
        "severity_percent": severity.percent,
        "noise_percent": _pair(point.ranges.get("total")),
        "grade": severity.grade or None,
        "severity_at_threshold": dict(severity.at_threshold),
        "lungs": {
            side: {
                "severity_percent": severity.lungs[side],
                "noise_percent": _pair(point.ranges.get(side)),
                "zones": dict(severity.zones.get(side, {})),
            }
            for side in SIDES
            if side in severity.lungs
        }
        or None,
        "since_before": _change_documents(point.since_before),
        "model": course.models.index(dict(result.model)),
    }


def _pair(found: Range | None) -> list[float] | None:
    return None if found is None else [round(found.low, 4), round(found.high, 4)]


def _change_documents(changes: Mapping[str, Change]) -> dict[str, Any]:
    return {
        part: {
            "points": round(one.points, 4),
            "interval": None if one.interval is None else [round(v, 4) for v in one.interval],
            "verdict": str(one.verdict),
        }
        for part, one in changes.items()
    }


def course_csv(course: Course) -> str:
    """The course as CSV: one row a result."""
    thresholds = sorted({t for p in course.points for t in p.result.severity.at_threshold})
    header = ["radiograph", "study_time", "day", "detected", "probability_max", "grade"]
    for part in PARTS:
        what = f"{part}_severity_percent"
        header += [
            what,
            f"{part}_noise_low",
            f"{part}_noise_high",
            f"{part}_since_before",
            f"{part}_verdict",
        ]
    header += [f"severity_percent_at_{threshold}" for threshold in thresholds]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["severity_of", *header])
    for point in course.points:
        found = _point_document(course, point)
        row: list[Any] = [course.severity_of, _plain(point.result.name), found["study_time"]]
        row += [found[key] for key in ("day", "detected", "probability_max", "grade")]
        for part in PARTS:
            row += _part_cells(point, part)
        at = found["severity_at_threshold"]
        writer.writerow([*row, *(at.get(threshold) for threshold in thresholds)])
    return text.getvalue()


def _part_cells(point: Point, part: str) -> list[Any]:
    ranges, since = point.ranges.get(part), point.since_before.get(part)
    low, high = _pair(ranges) or (None, None)
    return [
        point.result.severity.parts().get(part),
        low,
        high,
        None if since is None else round(since.points, 4),
        None if since is None else str(since.verdict),
    ]


def _plain(name: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{name}" if name.startswith(_FORMULA) else name
