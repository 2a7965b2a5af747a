"""The model's own noise in a severity, measured by placing the same radiograph slightly differently.

A patient never stands twice in the same place. So one radiograph is moved and turned by too little to be
noticed, and shown a little brighter or darker, many times; how far its severity then goes is a
distance that says nothing about the patient.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from infmap_kit.errors import ProgressionError, SpecError
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.model.severity_noise import COVERAGE, MAX_VARIANTS, SeverityNoise, Variation
from infmap_kit.progression.fields import Fields, read_document
from infmap_kit.progression.result import Result, compared_identity

KIND = "infmap-kit noise"

_MAX_RADIOGRAPHS = 1000


@dataclasses.dataclass(frozen=True)
class Range:
    """The interval of 95 % of the variants' severities, in percent. It contains the severity itself."""

    low: float
    high: float

    @classmethod
    def of(cls, value: float, variants: Sequence[float]) -> Self:
        """The middle 95 % of the variants, reaching at least to the value itself."""
        outer = (1 - COVERAGE) / 2
        low, high = np.quantile(variants, (outer, 1 - outer)).tolist()
        return cls(min(low, value), max(high, value))

    @classmethod
    def about(cls, value: float, down: float, up: float) -> Self:
        """The range of so many percentage points down and up, as far as there are percents."""
        return cls(max(value - down, 0.0), min(value + up, 100.0))


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
    """The noise of one model, measured on some radiographs.

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
        """The interval of severities that the noise allows for a result.

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
        return Range.about(value, down, up)

    def sentence(self, results: Sequence[Result]) -> str:
        """A sentence about the ranges that it gives to these results."""
        others = sum(
            not any(radiograph.is_of(result) for radiograph in self.radiographs)
            for result in results
        )
        stand_ins = (
            f"; of the {others} that were not measured themselves, the widest range of those that were"
            if others
            else ""
        )
        return f"Noise: 95 % of {self.variation.sentence}{stand_ins}."

    def as_json(self) -> dict[str, Any]:
        """Return the record as a JSON document."""
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
                variants=int(variation.number("variants", high=MAX_VARIANTS)),
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


@dataclasses.dataclass(frozen=True)
class StatedNoise:
    """The noise that the results' models state of themselves.

    Parameters
    ----------
    statements
        Of each model that states any, from what its results say. Where it was measured anew between two
        exports, results of one model state several, and the widest counts.
    """

    statements: Mapping[ModelIdentity, Sequence[SeverityNoise]]

    @classmethod
    def of(cls, results: Iterable[Result]) -> Self | None:
        """The noise that the results' models state for these severities; ``None`` if they state none."""
        statements: dict[ModelIdentity, list[SeverityNoise]] = defaultdict(list)
        for result in results:
            stated = result.stated_noise
            if stated and result.severity.of in stated.reach:
                known = statements[result.model]
                known += [] if stated in known else [stated]
        return cls(statements) if statements else None

    def range_about(self, result: Result, part: str) -> Range | None:
        """Return the stated range about a severity, as :meth:`Noise.range_about` does for a measured one."""
        value = result.severity.parts().get(part)
        region = result.severity.of if part == "total" else part
        stated = self.statements.get(result.model, ())
        reaches = [noise.reach[region] for noise in stated if region in noise.reach]
        if value is None or not reaches:
            return None
        down, up = (max(getattr(reach, way) for reach in reaches) for way in ("down", "up"))
        return Range.about(value, down, up)

    def sentence(self, results: Sequence[Result]) -> str:
        """Say the stated noise in a sentence, as :meth:`Noise.sentence` does for a measured one."""
        of = results[0].severity.of
        stated = [noise for several in self.statements.values() for noise in several]
        spoken = [
            f"in 95 of 100 radiographs, 95 % of the variants go at most {reach.down:.1f} percentage points "
            f"below and {reach.up:.1f} above the radiograph's own severity of the {of} ({reach.radiographs} "
            f"radiographs with the finding that it was not trained on; {noise.variation.sentence})"
            for noise in stated
            for reach in [noise.reach[of]]
        ]
        return f"Noise as the model states it: {'; and '.join(spoken)}."


def _measured(document: object, where: str) -> Measured:
    fields = Fields(document, f"a radiograph of {where}")
    variants = fields.inner("variants_percent")
    return Measured(
        source=fields.text("source", ""),
        pixels=fields.text("pixels", ""),
        severity_of=fields.text("severity_of"),
        percent=fields.numbers("severity_percent"),
        variants_percent={
            part: _percents(variants.list(part, most=MAX_VARIANTS), where)
            for part in variants.names()
        },
        detected=int(fields.number("detected", high=MAX_VARIANTS)),
    )


def _percents(values: Sequence[object], where: str) -> list[float]:
    return [Fields({"variant": value}, where).number("variant") for value in values]
