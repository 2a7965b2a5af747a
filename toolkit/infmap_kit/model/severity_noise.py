"""The noise of a model's severity: how far it goes when a radiograph is placed a little otherwise."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from infmap_kit.errors import ProgressionError, SpecError
from infmap_kit.model.spec import DETECTION_THRESHOLD

PARAMETER = "severity_noise"
"""The key of the noise in a model's manifest, config and results."""

COVERAGE = 0.95

MIN_VARIANTS = 20
"""With fewer, the outer 2.5 % on each side are less than the single outermost value."""
MAX_VARIANTS = 10_000

REGIONS = ("image", "lungs", "right", "left")
"""The regions of a severity: the whole image, both lungs, the patient's right or left lung."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variation:
    """Limits of small displacements, each drawn evenly from minus to plus its limit.

    Parameters
    ----------
    variants
        Number of variants of each radiograph.
    seed
        Seed of the draws: the same seed, the same displacements, for every radiograph.
    shift_percent
        Shift in percent of the picture's height and width.
    rotation_degrees
        Turn about the picture's middle.
    tone_percent
        Change of the exponent with which the gray values are bent (1 leaves them).

    Raises
    ------
    ProgressionError
        When a limit is not as it must be.
    """

    variants: int = 100
    seed: int = 0
    shift_percent: float = 2.0
    rotation_degrees: float = 2.0
    tone_percent: float = 5.0

    def __post_init__(self) -> None:
        if not MIN_VARIANTS <= self.variants <= MAX_VARIANTS:
            raise ProgressionError(
                f"expected {MIN_VARIANTS} to {MAX_VARIANTS} variants, found {self.variants}"
            )
        limits = (self.shift_percent, self.rotation_degrees, self.tone_percent)
        if not all(0 <= limit <= 20 for limit in limits) or not any(limits):
            raise ProgressionError(
                "expected shift, rotation and tone to be 0 to 20, and not all 0, found "
                f"{', '.join(f'{limit:g}' for limit in limits)}"
            )

    @property
    def sentence(self) -> str:
        """The variation in a sentence."""
        return (
            f"{self.variants} variants of each radiograph, seed {self.seed}: shifted by up to "
            f"{self.shift_percent:g} % of its sides, turned by up to {self.rotation_degrees:g} degrees, gray "
            f"values bent by up to {self.tone_percent:g} %"
        )


@dataclasses.dataclass(frozen=True)
class Reach:
    """The noise of a severity in percentage points.

    Parameters
    ----------
    down, up
        How far below and above the radiograph's own severity the middle 95 % of its variants reach, at most,
        in 95 % of the radiographs; 0 to 100.
    radiographs
        Number of radiographs that were measured.

    Raises
    ------
    ValueError
        When a number is out of its range.
    """

    down: float
    up: float
    radiographs: int

    def __post_init__(self) -> None:
        if not (0 <= self.down <= 100 and 0 <= self.up <= 100 and self.radiographs >= 1):
            raise ValueError("out of range")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeverityNoise:
    """The noise of a model's severity, measured on radiographs that it was not trained on.

    Parameters
    ----------
    reach
        Noise in each region of :data:`REGIONS` that was measured.
    variation
        The limits of the variants.

    Raises
    ------
    ValueError
        When it is of no region.
    """

    reach: Mapping[str, Reach]
    variation: Variation

    def __post_init__(self) -> None:
        if not self.reach:
            raise ValueError("of no region")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what ``str`` makes of it: ``image 1.9 2.1 50, variants 100, …``.

        Raises
        ------
        SpecError
            When it is damaged, or of a newer kind.
        """
        try:
            stated = _entries(text)
            reach = {
                name: Reach(float(down), float(up), int(radiographs))
                for name in REGIONS
                if name in stated
                for down, up, radiographs in [stated.pop(name)]
            }
            limits = {name: float(value) for name, (value,) in stated.items()}
            variants, seed = (int(limits.pop(name)) for name in ("variants", "seed"))
            return cls(reach=reach, variation=Variation(variants=variants, seed=seed, **limits))
        # A limit that is not known is a TypeError of the dataclass.
        except (KeyError, ValueError, OverflowError, TypeError, ProgressionError) as error:
            raise SpecError(
                f"expected {PARAMETER} such as 'image 1.9 2.1 50, variants 100, …', found {text!r:.80}: "
                "measure it again with `infmap-train severity-noise`, and export"
            ) from error

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> Self | None:
        """The noise that a model's parameters state; ``None`` if they state none.

        Raises
        ------
        SpecError
            When it is damaged, or of a newer kind.
        """
        return cls.parse(parameters[PARAMETER]) if PARAMETER in parameters else None

    @classmethod
    def of_document(
        cls, document: Mapping[str, Any], where: str, *, threshold: float, temperature: float
    ) -> Self:
        """The noise that the ``severity_noise.json`` of a run states.

        Parameters
        ----------
        document, where
            Its content, and the file for messages.
        threshold, temperature
            Of the network that it is read beside. At a threshold of 0.5 a temperature moves no pixel over it.

        Raises
        ------
        SpecError
            When it is damaged, or was measured at another temperature and that decides.
        """
        if threshold != DETECTION_THRESHOLD and document.get("temperature") != temperature:
            raise SpecError(
                f"expected {where} to be measured at the run's temperature, {temperature:g}, found "
                f"{document.get('temperature')!r:.20}: measure it again after calibrating"
            )
        try:
            return cls.parse(str(document.get(PARAMETER)))
        except SpecError as error:
            raise SpecError(f"{where}: {error}") from error

    def __str__(self) -> str:
        regions = (
            f"{name} {reach.down:g} {reach.up:g} {reach.radiographs}"
            for name, reach in self.reach.items()
        )
        limits = (f"{name} {value}" for name, value in vars(self.variation).items())
        return ", ".join((*regions, *limits))


def _entries(text: str) -> dict[str, list[str]]:
    entries = [entry.split() for entry in text.split(",")]
    stated = {name: values for name, *values in entries}
    if len(stated) < len(entries):
        raise ValueError("one is there twice")
    return stated
