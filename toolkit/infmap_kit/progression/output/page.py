"""A course as a page to look at, and as the tables of the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from infmap_kit.progression.change import RULE, Change
from infmap_kit.progression.course import Course, Point
from infmap_kit.progression.fields import shown
from infmap_kit.progression.noise import Noise, Range
from infmap_kit.progression.output.chart import caption_lines, chart
from infmap_kit.progression.output.picture import Map, tiles
from infmap_kit.progression.reading import Skipped
from infmap_kit.report.page import render
from infmap_kit.report.table import Table, Toned

_TONES = {"rise": "bad", "fall": "good"}


def course_table(course: Course) -> Table:
    """A table with a row for each result, for the terminal."""
    # The noise below the figure that it belongs to: eight columns would not fit a terminal.
    rows = []
    for point in course.points:
        when, name, severity, noise, *others, points, called = _cells(course, point)
        since = Toned(f"{points}\n{called}", _TONES.get(called, ""))
        rows.append((when, name, f"{severity}\n{noise}", *others, since))
    when, name, _, _, *others, change, _ = _columns(course)
    return Table(
        f"Severity in percent of the {course.severity_of}, and 95 % of the noise",
        (when, name, "total", *others, change),
        rows,
        words=(name,),
    )


def sentences(course: Course) -> list[str]:
    """The course's change from first to last, its noise and its notes."""
    since = course.since_first["total"]
    first = course.points[0]
    verdicts = {
        "rise": f"a rise, beyond noise ({_interval(since)})",
        "fall": f"a fall, beyond noise ({_interval(since)})",
        "within noise": f"within noise ({_interval(since)}), no change",
        "noise not measured": "noise not measured, so it is not called a change",
        "another model": "another model's, so it is not called a change",
    }
    change = f"{since.points:+.1f} percentage points, {verdicts[since.verdict]}"
    return [
        f"From the first ({course.when(first)}) to the last: {change}.",
        course.noise_sentence,
        *(f"Note: {note}." for note in course.notes),
        *(_left_out(file) for file in course.skipped),
    ]


def _left_out(file: Skipped) -> str:
    """A sentence about what is not in the course."""
    if file.damaged:
        return f"Rejected {file.name}, with which the course may be another: {file.reason}."
    return f"Skipped {file.name}: {file.reason}."


def page(course: Course, maps: Sequence[Map]) -> str:
    """The course, with each result's map as for :func:`~.picture.draw`, as one HTML file without requests."""
    models = [pair for model in course.models for pair in model.items()]
    rows = [_cells(course, point) for point in course.points]
    return render(
        "course.html",
        Path(__file__).parent / "templates",
        title="Progression",
        subtitle=f"{len(course.points)} radiographs over {course.points[-1].day:.1f} days; severity of "
        f"the {course.severity_of}",
        maps=tiles(course, maps),
        chart=chart(course),
        caption=" ".join(caption_lines(course)),
        sentences=[*sentences(course), RULE],
        figures=Table("", _columns(course), rows, words=("radiograph",)),
        models=Table("", ("what", "value"), models, words=("value",)),
    )


def noise_table(noise: Noise) -> Table:
    """A table with a row for each radiograph whose noise was measured."""
    rows = [
        (
            shown(radiograph.source),
            radiograph.severity_of,
            f"{radiograph.percent['total']:.1f}",
            _ends(radiograph.range_of("total"), " to "),
            f"{radiograph.detected} of {noise.variation.variants}",
        )
        for radiograph in noise.radiographs
    ]
    columns = ("radiograph", "of", "severity %", "95 % of variants", "detected")
    return Table("", columns, rows, words=columns[:1])


def _lungs(course: Course) -> list[str]:
    return [part for part in course.parts if part != "total"]


def _is_graded(course: Course) -> bool:
    return any(point.result.severity.grade for point in course.points)


def _columns(course: Course) -> list[str]:
    when = "day" if course.is_shifted else "taken"
    grade = ["grade"] if _is_graded(course) else []
    figures = ("severity", "noise 95 %", *_lungs(course))
    return [when, "radiograph", *figures, *grade, "change", "called"]


def _cells(course: Course, point: Point) -> list[str]:
    severity, since = point.result.severity, point.since_before.get("total")
    called = "" if since is None else str(since.verdict)
    return [
        course.when(point).removeprefix("day "),
        point.result.name,
        severity.shown_percent(),
        _ends(point.ranges.get("total"), "-"),
        *(severity.shown_percent(s) if s in severity.lungs else "-" for s in _lungs(course)),
        *([severity.grade or "-"] if _is_graded(course) else []),
        "" if since is None else f"{since.points:+.1f}",
        Toned(called, _TONES.get(called, "")),
    ]


def _ends(ends: Range | None, between: str) -> str:
    return "-" if ends is None else f"{ends.low:.1f}{between}{ends.high:.1f}"


def _interval(change: Change) -> str:
    if change.interval is None:
        return "not known"
    return f"{change.interval[0]:+.1f} to {change.interval[1]:+.1f}"
