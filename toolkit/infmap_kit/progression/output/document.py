"""A course for scripts and spreadsheets."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Mapping
from typing import Any

from infmap_kit.progression.change import RULE, Change
from infmap_kit.progression.course import PARTS, Course, Point
from infmap_kit.progression.noise import Noise, Range
from infmap_kit.progression.result import SIDES

_FORMULA = ("=", "+", "-", "@")
_PART_COLUMNS = ("severity_percent", "noise_low", "noise_high", "since_before", "verdict")


def course_document(course: Course) -> dict[str, Any]:
    """The course for scripts."""
    patients = [point.result.patient for point in course.points if point.result.patient]
    return {
        "kind": "infmap-kit progression",
        "severity_of": course.severity_of,
        "patient": patients[0] if patients else None,
        "models": [dict(model) for model in course.models],
        "times_shifted": course.is_shifted,
        "results": [_point_document(course, point) for point in course.points],
        "since_first": _change_documents(course.since_first),
        "rule": RULE,
        "noise": course.noise_sentence,
        "noise_from": _noise_from(course),
        "skipped": [dataclasses.asdict(file) for file in course.skipped],
        "notes": list(course.notes),
        "notice": "For research use, not a medical device.",
    }


def _noise_from(course: Course) -> str | None:
    """The origin of the noise: measured radiographs (``--noise``), or the model's own statement."""
    if course.noise is None:
        return None
    return "radiographs" if isinstance(course.noise, Noise) else "model"


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
        "model": course.models.index(result.model),
    }


def _pair(ends: Range | None) -> list[float] | None:
    return None if ends is None else [round(ends.low, 4), round(ends.high, 4)]


def _change_documents(changes: Mapping[str, Change]) -> dict[str, Any]:
    return {
        part: {
            "points": round(change.points, 4),
            "interval": change.interval and [round(value, 4) for value in change.interval],
            "verdict": str(change.verdict),
        }
        for part, change in changes.items()
    }


def course_csv(course: Course) -> str:
    """The course as CSV: one row a result."""
    thresholds = sorted({t for p in course.points for t in p.result.severity.at_threshold})
    header = ["radiograph", "study_time", "day", "detected", "probability_max", "grade"]
    for part in PARTS:
        header += [f"{part}_{column}" for column in _PART_COLUMNS]
    header += [f"severity_percent_at_{threshold}" for threshold in thresholds]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["severity_of", *header])
    for point in course.points:
        document = _point_document(course, point)
        row: list[Any] = [course.severity_of, _plain(point.result.name)]
        row += [document[key] for key in header[1:6]]
        for part in PARTS:
            row += _part_cells(point, part)
        at = document["severity_at_threshold"]
        writer.writerow([*row, *(at.get(threshold) for threshold in thresholds)])
    return text.getvalue()


def _part_cells(point: Point, part: str) -> list[Any]:
    low, high = _pair(point.ranges.get(part)) or (None, None)
    since = point.since_before.get(part)
    change = (None, None) if since is None else (round(since.points, 4), str(since.verdict))
    return [point.result.severity.parts().get(part), low, high, *change]


def _plain(name: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{name}" if name.startswith(_FORMULA) else name
