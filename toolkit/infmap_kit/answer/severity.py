"""Severity, the infected share of the lungs: in all, by lung, by zone, and as a grade.

The definition, in NumPy, which the ONNX graph (:mod:`infmap_kit.graphs.detection`) is held to. Everything is
counted in pixels of the network's picture. What each choice leaves out stands in docs/severity.md.

- *Sides.* A frontal radiograph (PA or AP) is looked at face to face: the image's left is the patient's right.
- *Midline.* The column of the central third of the picture with the least lung; of several, the one nearest to
  the picture's centre, and of two as near, the left one. Columns left of it belong to the right lung, it and
  the columns right of it to the left lung.
- *Zones.* A lung reaches from its first row to its last. Row ``r`` of a lung of height ``h`` (0 to ``h - 1``)
  is of the upper zone when ``3 r < h``, of the lower when ``3 r >= 2 h``, else of the middle.
- *Severity.* 100 times the infected pixels inside, over the pixels: of both lungs, of one, of a zone. What has
  no pixel has no severity. Without any lung, severity is of the whole picture.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from infmap_kit.answer.part import PartAnswer
from infmap_kit.errors import SpecError
from infmap_kit.imaging.radiograph import InputWarning, WarningCode
from infmap_kit.model.spec import IMAGE_SIZE

LUNG_NOT_FOUND = InputWarning(
    WarningCode.LUNG_NOT_FOUND,
    "only one lung was found, so that the severity is of that one: look at the radiograph, since a lung that "
    "is white all over may be missed",
)
NO_LUNG_FOUND = InputWarning(
    WarningCode.LUNG_NOT_FOUND,
    "no lung was found, so that the severity is of the whole picture: look at the radiograph, since lungs "
    "that are white all over may be missed",
)

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
"""The thresholds at which severity is reported, to show how much of it hangs on the threshold."""

SIDES = ("right", "left")
"""The patient's lungs, in the order of the served values."""

ZONES = ("upper", "middle", "lower")
"""Zones of each lung; right upper to left lower is the order A to F of Brixia (Borghesi, Radiol Med 2020)."""

CENTRAL_COLUMNS = range(-(-IMAGE_SIZE // 3), 2 * IMAGE_SIZE // 3)
"""Columns that are candidates for the midline: those that lie in the picture's central third whole."""


class Grade(enum.StrEnum):
    """A severity in a word."""

    NONE = "none"
    MILD = "mild"
    MODERATE = "moderate"
    SEVERE = "severe"


@dataclasses.dataclass(frozen=True)
class Grades:
    """The cut-offs between the grades, in percent of the lungs.

    A convention, not a measurement: the extent score of Wong et al. (Radiology 2020, doi
    10.1148/radiol.2020201160: 0, below 25 %, 25 to 50 %, 50 to 75 %, above), a simpler form of RALE, with
    its two highest classes as one.

    Parameters
    ----------
    none
        ``none`` up to this.
    mild
        ``mild`` above ``none`` and below this.
    moderate
        ``moderate`` from ``mild`` up to this; ``severe`` above.

    Raises
    ------
    SpecError
        When they do not rise between 0 and 100.
    """

    none: float = 0.0
    mild: float = 25.0
    moderate: float = 50.0

    def __post_init__(self) -> None:
        if not 0 <= self.none < self.mild <= self.moderate <= 100:
            raise SpecError(
                f"expected three rising cut-offs between 0 and 100 percent, such as 0,25,50, found {self}"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``0,25,50``.

        Raises
        ------
        SpecError
            When these are not three rising numbers.
        """
        try:
            none, mild, moderate = (float(word) for word in text.split(","))
        except ValueError as error:
            raise SpecError(
                f"expected three cut-offs with commas between, such as 0,25,50, found {text!r}"
            ) from error
        return cls(none, mild, moderate)

    @property
    def cut_offs(self) -> tuple[float, float, float]:
        """Where the grades ``none``, ``mild`` and ``moderate`` end, in percent."""
        return self.none, self.mild, self.moderate

    def __str__(self) -> str:
        return f"{self.none:g},{self.mild:g},{self.moderate:g}"

    def of(self, severity_percent: float) -> Grade:
        """The grade of a severity of the lungs."""
        if severity_percent <= self.none:
            return Grade.NONE
        if severity_percent < self.mild:
            return Grade.MILD
        return Grade.MODERATE if severity_percent <= self.moderate else Grade.SEVERE


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lung:
    """Severity of a lung and of its ``upper``, ``middle`` and ``lower`` zone, in percent.

    ``None`` stands for what is not there.
    """

    severity_percent: float | None
    zones: dict[str, float | None]

    def as_json(self) -> dict[str, Any]:
        """Return the percentages as a JSON document."""
        return {
            "severity_percent": _rounded(self.severity_percent),
            "zones": {zone: _rounded(value) for zone, value in self.zones.items()},
        }


def by_lung(lungs: NDArray[np.float32], zones: NDArray[np.float32]) -> dict[str, Lung]:
    """Right and left lung out of served values, (2,) and (6,) float32 as in :class:`LungAnswer`."""
    values = [None if np.isnan(value) else float(value) for value in (*lungs, *zones)]
    return {
        side: Lung(
            severity_percent=values[index],
            zones=dict(zip(ZONES, values[2 + 3 * index : 5 + 3 * index], strict=True)),
        )
        for index, side in enumerate(SIDES)
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LungAnswer(PartAnswer):
    """The answer of a network of the lungs: severity of them.

    Parameters
    ----------
    mask
        (224, 224) bool: the lungs.
    of_lungs
        Whether any lung was found; else ``severity_percent`` and ``at`` are of the picture.
    severity_percent
        Severity of both lungs.
    lungs
        (2,) float32: right, left; NaN for a lung that is not there.
    zones
        (6,) float32: right upper, middle, lower, left upper, middle, lower; NaN for a zone without a pixel.
    at
        (5,) float32: ``severity_percent`` at each of :data:`THRESHOLDS`.
    grades
        The cut-offs of its grades.
    """

    mask: NDArray[np.bool_]
    of_lungs: bool
    severity_percent: float
    lungs: NDArray[np.float32]
    zones: NDArray[np.float32]
    at: NDArray[np.float32]
    grades: Grades = dataclasses.field(default_factory=lambda: Grades())

    @property
    def by_lung(self) -> dict[str, Lung]:
        """Right and left lung; ``None`` stands for what is not there."""
        return by_lung(self.lungs, self.zones)

    @property
    def grade(self) -> Grade | None:
        """Grade of the severity; ``None`` where no lung was found."""
        return self.grades.of(self.severity_percent) if self.of_lungs else None

    @property
    def warnings(self) -> tuple[InputWarning, ...]:
        """See :attr:`PartAnswer.warnings`."""
        if not self.of_lungs:
            return (NO_LUNG_FOUND,)
        return (LUNG_NOT_FOUND,) if np.isnan(self.lungs).any() else ()

    def as_json(self, *, detected: bool) -> dict[str, Any]:
        """See :meth:`PartAnswer.as_json`."""
        return {
            "grade": self.grade,
            "lungs": {side: lung.as_json() for side, lung in self.by_lung.items()},
        }


def lung_answer(
    probability: NDArray[np.float32], mask: NDArray[np.bool_], *, threshold: float
) -> LungAnswer:
    """Compute every figure of one picture by the definition.

    Parameters
    ----------
    probability
        (224, 224) float32 of infection.
    mask
        (224, 224) bool: the lungs.
    threshold
        Probability from which a pixel is infected.
    """
    infected = probability >= np.float32(threshold)
    sides = [side & mask for side in sides_of(mask)]
    zones = [zone & side for side in sides for zone in zones_of(side)]
    region = mask if mask.any() else np.ones_like(mask)
    return LungAnswer(
        mask=mask,
        of_lungs=bool(mask.any()),
        severity_percent=float(_percent(infected, region)),
        lungs=np.array([_percent(infected, side) for side in sides], np.float32),
        zones=np.array([_percent(infected, zone) for zone in zones], np.float32),
        at=severity_at(probability, region),
    )


def severity_at(
    probability: NDArray[np.float32], region: NDArray[np.bool_] | None = None
) -> NDArray[np.float32]:
    """Severity at each of :data:`THRESHOLDS`, (5,) float32, in a region of (H, W) or everywhere."""
    region = np.ones(probability.shape, np.bool_) if region is None else region
    infected = (probability >= np.float32(threshold) for threshold in THRESHOLDS)
    return np.array([_percent(pixels, region) for pixels in infected], np.float32)


def midline_of(lungs: NDArray[np.bool_]) -> int:
    """The column that parts the lungs of a (224, 224) mask."""
    counts = lungs.sum(axis=0)
    return min(CENTRAL_COLUMNS, key=lambda column: (counts[column], *nearness(column)))


def nearness(column: int) -> tuple[float, int]:
    """Sorts columns by how near they are to the picture's centre, of two as near the left one first."""
    return abs(column - (IMAGE_SIZE - 1) / 2), column


def sides_of(lungs: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The patient's right and left half of the picture, each (224, 224), whatever lies in it."""
    right = np.zeros_like(lungs)
    right[:, : midline_of(lungs)] = True
    return right, ~right


def zones_of(lung: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], ...]:
    """Upper, middle and lower rows of one lung's (224, 224) mask, each over the whole width."""
    rows = np.flatnonzero(lung.any(axis=1))
    zones = [np.zeros_like(lung) for _ in ZONES]
    if rows.size:
        top, height = rows[0], rows[-1] - rows[0] + 1
        for row in range(top, top + height):
            zones[3 * (row - top) // height][row] = True
    return tuple(zones)


def _percent(infected: NDArray[np.bool_], region: NDArray[np.bool_]) -> np.float32:
    """One division of whole numbers, rounded once; NaN of an empty region."""
    area = np.float32(region.sum())
    inside = np.float32(100 * int((infected & region).sum()))
    return inside / area if area else np.float32(np.nan)
