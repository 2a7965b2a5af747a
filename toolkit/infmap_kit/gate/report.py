"""The equivalence gate's report: JSON, Markdown, and the picture that differs most."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.answer.answer import Answer
from infmap_kit.gate.comparison import GateReport, Pair, PictureComparison
from infmap_kit.gate.int8 import int8_paragraph
from infmap_kit.gate.runners import by_the_paper
from infmap_kit.model.files import write_bytes, write_json
from infmap_kit.report.table import Table

_SHOWN = 10
_SCALE = 2
_BAR = 28


class Evidence:
    """Remembers the worst pair while pictures are compared, and writes the report to a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._worst: tuple[PictureComparison, Pair] | None = None

    def see(self, comparison: PictureComparison, pair: Pair) -> None:
        """Remember a comparison that is worse than those before."""
        if self._worst is None or comparison.badness > self._worst[0].badness:
            self._worst = comparison, pair

    def write(self, report: GateReport) -> Path:
        """Write ``gate.json``, ``gate.md`` and ``worst.png``; returns the folder.

        The pictures may be patients' radiographs: keep the folder where such may lie.
        """
        write_json(self._folder / "gate.json", report.as_json(), private=True)
        write_bytes(self._folder / "gate.md", markdown(report).encode(), private=True)
        if self._worst is not None:
            drawn = cv2.imencode(".png", worst_picture(*self._worst))[1].tobytes()
            write_bytes(self._folder / "worst.png", drawn, private=True)
        return self._folder


def gate_table(report: GateReport) -> Table:
    """A table with a row for each check: label, value and bound."""
    checks = [check for check in report.all_checks() if check.label]
    rows = [(check.label, check.text, check.bound) for check in checks]
    return Table(
        "", ("", "found", "asked for"), [("pictures", str(len(report.pictures)), ""), *rows]
    )


def markdown(report: GateReport) -> str:
    """The report for people, with the pictures that differ most."""
    margin = (
        f"Margin: largest probability less {report.finding_threshold:g}. Where two figures stand, the "
        "reference's is the first."
    )
    worst = sorted(report.pictures, key=lambda picture: picture.badness, reverse=True)[:_SHOWN]
    lines = [
        "# Equivalent" if report.passed else "# Not equivalent",
        "",
        f"Over {len(report.pictures)} pictures, against the trained network in FP32.",
        "",
        *(f"- **{reason}**" for reason in report.reasons()),
        *([""] if report.reasons() else []),
        gate_table(report).markdown(),
        *_int8_section(report),
        f"## The {len(worst)} pictures that differ most",
        "",
        "| picture | Dice | detected | margin | severity % | largest error |",
        "|---|---|---|---|---|---|",
        *map(_row, worst),
        "",
        margin,
        "`worst.png` shows the first of these pictures.",
        "",
        "For research use, not a medical device.",
    ]
    return "\n".join(lines) + "\n"


def _int8_section(report: GateReport) -> list[str]:
    if not report.int8:
        return []
    paragraphs = [[*int8_paragraph(name, record), ""] for name, record in report.int8.items()]
    return ["## What INT8 keeps in a higher precision", "", *itertools.chain(*paragraphs)]


def worst_picture(comparison: PictureComparison, pair: Pair) -> NDArray[np.uint8]:
    """Reference, engine and difference side by side, as BGR."""
    picture, expected, actual = pair
    # A reference does not know how the release is painted.
    painted = by_the_paper(
        expected.probability, picture, expected.parts, finding=expected.finding, paint=actual.paint
    )
    difference = np.abs(np.nan_to_num(expected.probability) - np.nan_to_num(actual.probability))
    top = max(float(difference.max()), 1e-6)
    gray = np.clip(255 * difference / top, 0, 255).astype(np.uint8)
    panels = [
        (f"reference, Dice {comparison.dice:.4f}", _bgr(painted)),
        ("engine", _bgr(actual)),
        (f"difference, white is {top:.1e}", np.repeat(gray[..., np.newaxis], 3, axis=-1)),
    ]
    return np.hstack([_titled(title, panel) for title, panel in panels])


def _row(at: PictureComparison) -> str:
    decisions = " / ".join("yes" if d else "no" for d in (at.reference_detected, at.detected))
    return (
        f"| {at.name} | {at.dice:.4f} | {decisions} | {at.reference_margin:+.4f} / {at.margin:+.4f} | "
        f"{at.reference_severity_percent:.3f} / {at.severity_percent:.3f} | {at.largest_error:.2e} |"
    )


def _bgr(answer: Answer) -> NDArray[np.uint8]:
    rgb = answer.infection_map
    if rgb is None:
        return np.zeros((*answer.probability.shape, 3), np.uint8)
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR).astype(np.uint8)


def _titled(title: str, panel: NDArray[np.uint8]) -> NDArray[np.uint8]:
    large = cv2.resize(panel, None, fx=_SCALE, fy=_SCALE, interpolation=cv2.INTER_NEAREST)
    framed = cv2.copyMakeBorder(large, _BAR, 4, 4, 4, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    cv2.putText(
        framed, title, (6, _BAR - 9), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA
    )
    return framed.astype(np.uint8)
