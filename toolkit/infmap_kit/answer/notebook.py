"""An answer as a notebook shows it: the map beside the figures, in HTML that asks nobody for anything."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.imaging.colour import encode_png
from infmap_kit.report.numbers import shown_percent, shown_probability
from infmap_kit.report.page import render
from infmap_kit.report.table import Table

if TYPE_CHECKING:
    from infmap_kit.answer.answer import Answer

SHOWN_PIXELS = 512
"""Longest side of the map in a notebook, which keeps what it shows in its file."""

_TEMPLATES = Path(__file__).parent / "templates"


def answer_html(answer: Answer) -> str:
    """Show an answer as HTML: its map, made smaller where it is large, and its figures."""
    finding, png = answer.model.finding, b""
    decision = finding.decision(detected=answer.detected)
    if answer.infection_map is not None:
        png = encode_png(_smaller(answer.infection_map))
    rows = [
        (finding.condition.meaning, decision),
        (
            "largest probability",
            shown_probability(answer.probability_max, finding.threshold, decimals=3),
        ),
        (
            f"severity, % of the {answer.severity_of}",
            shown_percent(answer.severity_percent, decimals=1),
        ),
    ]
    if answer.grade is not None:
        rows.append(("grade", str(answer.grade)))
    if answer.classifier_probability is not None:
        agrees = "agrees" if answer.classifier_agrees else "disagrees"
        said = shown_probability(answer.classifier_probability, finding.threshold, decimals=3)
        rows.append((f"classifier, {agrees}", said))
    rows.append(("model", f"{answer.model.name} {answer.model.version}"))
    return render(
        "answer.html",
        _TEMPLATES,
        png=base64.b64encode(png).decode(),
        title=finding.title,
        decision=decision,
        table=Table("", ("", ""), rows),
        notice=finding.notice,
    )


def _smaller(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    scale = SHOWN_PIXELS / max(height, width)
    if scale >= 1:
        return picture
    size = max(1, round(scale * width)), max(1, round(scale * height))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
