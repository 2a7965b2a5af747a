"""A course as a page to look at, and as the table of the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.markup import escape
from rich.table import Column, Table

from infmap_kit.progression.change import RULE, Change
from infmap_kit.progression.course import Course, Point
from infmap_kit.progression.noise import Noise
from infmap_kit.progression.output.chart import chart, words_below
from infmap_kit.progression.output.picture import Map, tiles
from infmap_kit.report import page as frame

_COLOURS = {"rise": "red", "fall": "green"}


def course_table(course: Course) -> Table:
    """One row a result."""
    lungs = [part for part in course.parts if part != "total"]
    graded = any(point.result.severity.grade for point in course.points)
    table = Table(
        Column("day" if course.is_shifted else "taken", min_width=10),
        Column("radiograph", overflow="fold"),
        # The noise below the figure that it belongs to: eight columns would not fit a terminal.
        *(Column(title, justify="right", no_wrap=True) for title in ("total", *lungs)),
        *([Column("grade", no_wrap=True)] if graded else []),
        "change",
        title=f"Severity in percent of the {course.severity_of}, and 95 % of the noise",
        show_lines=True,
    )
    for point in course.points:
        when, name, severity, noise, *others, points, verdict = _cells(
            course, point, lungs, graded=graded
        )
        called = [escape(points), escape(verdict)]
        if verdict in _COLOURS:
            called[1] = f"[{_COLOURS[verdict]}]{verdict}[/]"
        table.add_row(
            when, escape(name), f"{severity}\n[dim]{noise}[/]", *others, "\n".join(called)
        )
    return table


def sentences(course: Course) -> list[str]:
    """What the course comes to, and what it rests on."""
    since = course.since_first["total"]
    first = course.points[0]
    words = {
        "rise": f"a rise, beyond noise ({_interval(since)})",
        "fall": f"a fall, beyond noise ({_interval(since)})",
        "within noise": f"within noise ({_interval(since)}), no change",
        "noise not measured": "noise not measured, so it is not called a change",
        "another model": "another model's, so it is not called a change",
    }
    told = f"{since.points:+.1f} percentage points, {words[since.verdict]}"
    return [
        f"From the first ({course.when(first)}) to the last: {told}.",
        course.noise_sentence,
        *(f"Note: {note}." for note in course.notes),
        *(f"Skipped {one.name}: {one.reason}." for one in course.skipped),
    ]


def page(course: Course, maps: Sequence[Map]) -> str:
    """The course as one HTML file that asks nobody for anything.

    Parameters
    ----------
    course
        At least two results.
    maps
        Of each result (H, W, 3) uint8 RGB, or ``None``.
    """
    row = "".join(f'<div style="width:8.5rem">{one.svg()}</div>' for one in tiles(course, maps))
    lungs = [part for part in course.parts if part != "total"]
    graded = any(point.result.severity.grade for point in course.points)
    header = ["day" if course.is_shifted else "taken", "radiograph", *_figures(lungs)]
    header += ["grade", "change", "called"] if graded else ["change", "called"]
    rows = [_cells(course, point, lungs, graded=graded) for point in course.points]
    models = [[key, value] for model in course.models for key, value in model.items()]
    return frame.document(
        "Progression",
        f"{len(course.points)} radiographs over {course.points[-1].day:.1f} days; severity of the "
        f"{course.severity_of}",
        [
            f'<div style="display:flex;flex-wrap:wrap;gap:.7rem;margin:1rem 0">{row}</div>',
            frame.figure(chart(course).svg(), " ".join(words_below(course))),
            frame.paragraphs([*sentences(course), RULE]),
            frame.section("All figures", frame.table(header, rows, words=[1])),
            frame.section("Model", frame.table(["what", "value"], models, words=[1])),
        ],
        with_pictures=True,
    )


def noise_table(noise: Noise) -> Table:
    """One row a radiograph whose noise was measured."""
    table = Table(
        Column("radiograph", overflow="fold"),
        "of",
        Column("severity %", justify="right"),
        Column("95 % of variants", justify="right"),
        Column("detected", justify="right"),
    )
    for one in noise.radiographs:
        found = one.range_of("total")
        table.add_row(
            escape(one.source),
            one.severity_of,
            f"{one.percent['total']:.1f}",
            "-" if found is None else f"{found.low:.1f} to {found.high:.1f}",
            f"{one.detected} of {noise.variation.variants}",
        )
    return table


def _figures(lungs: list[str]) -> list[str]:
    return ["severity", "noise 95 %", *lungs]


def _cells(course: Course, point: Point, lungs: list[str], *, graded: bool) -> list[str]:
    severity, found = point.result.severity, point.ranges.get("total")
    since: Any = point.since_before.get("total")
    return [
        course.when(point).removeprefix("day "),
        point.result.name,
        f"{severity.percent:.1f}",
        "-" if found is None else f"{found.low:.1f}-{found.high:.1f}",
        *(f"{severity.lungs[side]:.1f}" if side in severity.lungs else "-" for side in lungs),
        *([severity.grade or "-"] if graded else []),
        "" if since is None else f"{since.points:+.1f}",
        "" if since is None else str(since.verdict),
    ]


def _interval(change: Change) -> str:
    if change.interval is None:
        return "not known"
    return f"{change.interval[0]:+.1f} to {change.interval[1]:+.1f}"
