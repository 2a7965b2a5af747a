"""How much of a severity is the model's own noise: the same radiograph, placed a little otherwise.

A patient never stands twice in the same place. So one radiograph is moved and turned by too little to be
noticed, and shown a little brighter or darker, many times; how far its severity then goes is a
distance that says nothing about the patient.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from infmap_kit.errors import ProgressionError, SpecError
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.progression.fields import Fields, read_document
from infmap_kit.progression.result import Result, compared_identity

KIND = "infmap-kit noise"
COVERAGE = 0.95
MIN_VARIANTS = 20
"""With fewer, the outer 2.5 % on each side are less than the single outermost value."""

_MAX_VARIANTS = 10_000
_MAX_RADIOGRAPHS = 1000


@dataclasses.dataclass(frozen=True)
class Range:
    """Where a severity lies in 95 % of the variants, in percent; the severity itself is always inside."""

    low: float
    high: float

    @classmethod
    def of(cls, value: float, variants: Sequence[float]) -> Self:
        """The middle 95 % of the variants, reaching at least to the value itself."""
        outer = (1 - COVERAGE) / 2
        low, high = np.quantile(variants, (outer, 1 - outer)).tolist()
        return cls(min(low, value), max(high, value))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variation:
    """Limits of small displacements, each drawn evenly from minus to plus its limit.

    Parameters
    ----------
    variants
        How many pictures are made of a radiograph.
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
        if not MIN_VARIANTS <= self.variants <= _MAX_VARIANTS:
            raise ProgressionError(
                f"expected {MIN_VARIANTS} to {_MAX_VARIANTS} variants, found {self.variants}"
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """The noise of one radiograph.

    Parameters
    ----------
    source
        Its name.
    pixels
        The hash of its pixels, or a stand-in.
    severity_of
        ``"image"`` or ``"lungs"``.
    percent
        ``"total"``, ``"right"``, ``"left"`` to the severity of the radiograph as it is.
    variants_percent
        The same, to the severities of its variants.
    detected
        In how many variants the condition was detected.
    """

    source: str
    pixels: str
    severity_of: str
    percent: Mapping[str, float]
    variants_percent: Mapping[str, Sequence[float]]
    detected: int

    def range_of(self, part: str) -> Range | None:
        """The range of the total, or of a lung; ``None`` where it is not known."""
        if part not in self.percent or not self.variants_percent.get(part):
            return None
        return Range.of(self.percent[part], self.variants_percent[part])

    def is_of(self, result: Result) -> bool:
        """Whether it is the noise of this result's radiograph."""
        return bool(self.pixels) and self.pixels == result.pixels

    def as_json(self) -> dict[str, Any]:
        """The radiograph's part of the record."""
        return {
            "source": self.source,
            "pixels": self.pixels,
            "severity_of": self.severity_of,
            "severity_percent": dict(self.percent),
            "range_percent": {
                part: [round(known.low, 4), round(known.high, 4)]
                for part in self.percent
                if (known := self.range_of(part)) is not None
            },
            "detected": self.detected,
            "variants_percent": {k: list(v) for k, v in self.variants_percent.items()},
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noise:
    """The noise of one model.

    Parameters
    ----------
    model
        The model, from :func:`~infmap_kit.progression.result.compared_identity`.
    variation
        The limits of its variants.
    radiographs
        At least one.
    """

    model: ModelIdentity
    variation: Variation
    radiographs: tuple[Measured, ...]

    def range_about(self, result: Result, part: str) -> Range | None:
        """Where a result's severity might as well lie.

        Measured on the radiograph itself where that was done; else as far down and up as the widest of
        all that were measured.

        Parameters
        ----------
        result
            A result of the same model; of another there is no range.
        part
            ``"total"``, ``"right"`` or ``"left"``.
        """
        value = result.severity.parts().get(part)
        if value is None or self.model != result.model:
            return None
        alike = [
            radiograph
            for radiograph in self.radiographs
            if radiograph.severity_of == result.severity.of
        ]
        own = [radiograph for radiograph in alike if radiograph.is_of(result)]
        ranges = [
            (known, radiograph.percent[part])
            for radiograph in own or alike
            if (known := radiograph.range_of(part)) is not None
        ]
        if not ranges:
            return None
        down = max(middle - known.low for known, middle in ranges)
        up = max(known.high - middle for known, middle in ranges)
        return Range(max(value - down, 0.0), min(value + up, 100.0))

    def knows(self, result: Result) -> bool:
        """Whether the radiograph itself was measured."""
        return any(radiograph.is_of(result) for radiograph in self.radiographs)

    def as_json(self) -> dict[str, Any]:
        """The record."""
        return {
            "kind": KIND,
            "model": dict(self.model),
            "variation": dataclasses.asdict(self.variation),
            "coverage": COVERAGE,
            "radiographs": [radiograph.as_json() for radiograph in self.radiographs],
            "notice": "For research use, not a medical device.",
        }

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a record.

        Raises
        ------
        SpecError
            When the file is no such record.
        """
        fields = Fields(read_document(path), str(path))
        if fields.text("kind", "") != KIND:
            raise SpecError(
                f"{path} is no noise: make it with `infmap-kit progression noise RADIOGRAPH -o FILE`"
            )
        variation = fields.inner("variation")
        radiographs = fields.list("radiographs", most=_MAX_RADIOGRAPHS)
        if not radiographs:
            raise SpecError(f"expected radiographs in {path}, found none")
        limits = ("shift_percent", "rotation_degrees", "tone_percent")
        try:
            stated = Variation(
                variants=int(variation.number("variants", high=_MAX_VARIANTS)),
                seed=int(variation.number("seed", high=2**63)),
                **{name: variation.number(name) for name in limits},
            )
        except ProgressionError as error:
            raise SpecError(f"{path}: {error}") from error
        return cls(
            model=compared_identity(fields.texts("model")),
            variation=stated,
            radiographs=tuple(_measured(radiograph, str(path)) for radiograph in radiographs),
        )


def _measured(document: object, where: str) -> Measured:
    fields = Fields(document, f"a radiograph of {where}")
    variants = fields.inner("variants_percent")
    return Measured(
        source=fields.text("source", ""),
        pixels=fields.text("pixels", ""),
        severity_of=fields.text("severity_of"),
        percent=fields.numbers("severity_percent"),
        variants_percent={
            part: _percents(variants.list(part, most=_MAX_VARIANTS), where)
            for part in variants.names()
        },
        detected=int(fields.number("detected", high=_MAX_VARIANTS)),
    )


def _percents(values: Sequence[object], where: str) -> list[float]:
    return [Fields({"variant": value}, where).number("variant") for value in values]
