"""One patient's results in the order of time, or the reason why they make no course."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from infmap_kit.errors import ProgressionError
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.progression.change import Change, change
from infmap_kit.progression.noise import Noise, Range, StatedNoise
from infmap_kit.progression.reading import Reading, Skipped, names_of
from infmap_kit.progression.result import SIDES, Result

PARTS = ("total", *SIDES)

_Key = TypeVar("_Key")

_SAME_POINTS = 0.05
"""Two results of one radiograph and one model may differ by this much: half of what is shown."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """One result in its place.

    Parameters
    ----------
    result
        The result.
    day
        Days since the first result.
    ranges
        Part to where its severity might as well lie; a part whose noise is not known is left out.
    since_before
        Part to the change since the result before; empty for the first.
    """

    result: Result
    day: float
    ranges: Mapping[str, Range]
    since_before: Mapping[str, Change]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Course:
    """Results of one patient, at least two, in the order of time.

    Parameters
    ----------
    points
        The results.
    since_first
        Part to the change from the first result to the last.
    is_shifted
        Whether the times are stand-ins, of which only differences are true.
    noise
        The model's own noise, measured or as the model states it; ``None`` where neither is known.
    skipped, notes
        As in :class:`~infmap_kit.progression.reading.Reading`.
    """

    points: tuple[Point, ...]
    since_first: Mapping[str, Change]
    is_shifted: bool
    noise: Noise | StatedNoise | None
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]

    @property
    def severity_of(self) -> str:
        """``"image"`` or ``"lungs"``."""
        return self.points[0].result.severity.of

    @property
    def models(self) -> list[ModelIdentity]:
        """Every model that gave a result, in the order of time."""
        return list(dict.fromkeys(point.result.model for point in self.points))

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are known of every result, or of some."""
        known = {part for point in self.points for part in point.result.severity.parts()}
        return tuple(part for part in PARTS if part in known)

    @property
    def noise_sentence(self) -> str:
        """A sentence about the noise, or that it was not measured."""
        if self.noise is None:
            return (
                "Noise not measured, and not stated by the model: nothing is called a change (see `infmap-kit "
                "progression noise`)."
            )
        return self.noise.sentence([point.result for point in self.points])

    def when(self, point: Point) -> str:
        """Date and time of a point, or the days since the first where the date is a stand-in."""
        if self.is_shifted or point.result.taken is None:
            return f"day {point.day:.1f}".removesuffix(".0")
        return f"{point.result.taken:%Y-%m-%d %H:%M}"


def line_up(reading: Reading, *, noise: Noise | None = None, mix_models: bool = False) -> Course:
    """Put one patient's results in the order of time.

    A radiograph that is there twice (the same SOP instance or pixels, by the same model) counts once.

    Parameters
    ----------
    reading
        The results, in any order.
    noise
        The model's own noise, where it was measured; else it is what the results' models state.
    mix_models
        Whether results of several models may stand side by side; nothing is called a change from one
        to another.

    Raises
    ------
    ProgressionError
        When they are of two patients, of two models, of image and lungs, contradict each other, do not say
        when they were taken, or are fewer than two.
    """
    _require_one_patient(reading.results)
    _require_one_model(reading.results, noise, mix_models=mix_models)
    _require_one_measure(reading.results)
    results, doubles = _without_doubles(reading.results)
    if len(results) < 2:
        raise _too_few(results, reading, counted_once=bool(doubles))
    known = noise or StatedNoise.of(reading.results)
    timed = sorted(_timed(results), key=lambda pair: (pair[0], pair[1].name, str(pair[1].file)))
    ordered = [result for _, result in timed]
    points = []
    for number, (taken, result) in enumerate(timed):
        ranges = {part: known.range_about(result, part) if known else None for part in PARTS}
        points.append(
            Point(
                result=result,
                day=(taken - timed[0][0]) / dt.timedelta(days=1),
                ranges=_known(ranges),
                since_before=_changes(ordered[number - 1], result, known) if number else {},
            )
        )
    return Course(
        points=tuple(points),
        since_first=_changes(ordered[0], ordered[-1], known),
        is_shifted=any(result.is_shifted for result in ordered),
        noise=known,
        skipped=reading.skipped,
        notes=(*reading.notes, *doubles, *_remarks(timed)),
    )


def _changes(before: Result, after: Result, noise: Noise | StatedNoise | None) -> dict[str, Change]:
    return _known({part: change(before, after, noise, part=part) for part in PARTS})


def _known(values: Mapping[str, _Key | None]) -> dict[str, _Key]:
    return {part: value for part, value in values.items() if value is not None}


def _without_doubles(results: Sequence[Result]) -> tuple[list[Result], list[str]]:
    """Each radiograph once for each model, and a sentence for those that were there more often."""
    singles: list[Result] = []
    places: dict[tuple[Any, ...], int] = {}
    doubles_of: Counter[int] = Counter()
    # Sorted, so that the order of the files does not decide which of several stays.
    for result in sorted(results, key=lambda result: (str(result.file), result.source)):
        values = {"instance": result.instance, "pixels": result.pixels}
        keys = [(name, value, result.model) for name, value in values.items() if value]
        place = next((places[key] for key in keys if key in places), len(singles))
        if place == len(singles):
            singles.append(result)
        else:
            singles[place] = _merged(singles[place], result)
            doubles_of[place] += 1
        for key in keys:
            places.setdefault(key, place)
    notes = [
        f"{singles[place].name} is there {more + 1} times, and counts once"
        for place, more in sorted(doubles_of.items())
    ]
    return singles, notes


def _merged(first: Result, second: Result) -> Result:
    """The result of two of the same radiograph and model, which must not contradict each other."""
    both = (first, second)
    if abs(first.severity.percent - second.severity.percent) > _SAME_POINTS:
        values = [f"{result.severity.shown_percent()} %" for result in both]
    elif first.taken is None:
        return dataclasses.replace(first, taken=second.taken, is_shifted=second.is_shifted)
    elif second.taken in (None, first.taken):
        return first
    else:
        values = [str(result.taken) for result in both]
    raise ProgressionError(
        f"{first.file} and {second.file} are of the same radiograph and model, and say "
        f"{' and '.join(values)}: leave one out"
    )


def _grouped(results: Iterable[Result], key: Callable[[Result], _Key]) -> dict[_Key, list[Result]]:
    groups: dict[_Key, list[Result]] = defaultdict(list)
    for result in results:
        groups[key(result)].append(result)
    return groups


def _require_one_patient(results: Sequence[Result]) -> None:
    patients = _grouped(
        (result for result in results if result.patient), lambda result: result.patient
    )
    if len(patients) > 1:
        groups = _shown([names_of(group) for group in patients.values()])
        raise ProgressionError(
            f"expected results of one patient, found {len(patients)} ({groups}): name one with --patient; "
            "where they are one person's, run `infmap-kit infer` over all with the same INFMAP_UID_KEY"
        )


def _shown(groups: Sequence[str], *, most: int = 3) -> str:
    more = f"; and {len(groups) - most} more" if len(groups) > most else ""
    return "; ".join(groups[:most]) + more


def _require_one_model(results: Sequence[Result], noise: Noise | None, *, mix_models: bool) -> None:
    models = _grouped(results, lambda result: result.model)
    if len(models) > 1 and not mix_models:
        common = set.intersection(*(set(model.items()) for model in models))
        groups = _shown(
            [f"{_differing(model, common)}: {names_of(group)}" for model, group in models.items()]
        )
        raise ProgressionError(
            f"expected results of one model, found {len(models)} ({groups}): run `infmap-kit infer` over all "
            "with one of them, or give --mix-models"
        )
    if noise is not None and results and noise.model not in models:
        raise ProgressionError(
            "expected the noise of the model that gave the results, found that of another: measure it with "
            "`infmap-kit progression noise` while that model is served"
        )


def _differing(model: ModelIdentity, common: set[tuple[str, str]]) -> str:
    """The parameters of a model that are not common to all, in short."""
    parts = [f"{key} {value[:12]}" for key, value in model.items() if (key, value) not in common]
    return ", ".join(parts) or "nothing stated"


def _require_one_measure(results: Sequence[Result]) -> None:
    measures = _grouped(results, lambda result: result.severity.of)
    if len(measures) > 1:
        groups = "; ".join(f"{of}: {names_of(group)}" for of, group in measures.items())
        raise ProgressionError(
            f"expected severities of the same thing, found both of the image and of the lungs ({groups}): "
            "leave those out in which no lungs were found, or run `infmap-kit infer` over all with one model"
        )


def _too_few(
    results: Sequence[Result], reading: Reading, *, counted_once: bool
) -> ProgressionError:
    once = ", counting what is there twice once" if counted_once else ""
    skipped = "".join(f"; skipped {file.name}: {file.reason}" for file in reading.skipped[:3])
    return ProgressionError(
        f"expected at least two results of different radiographs, found {len(results)}{once}{skipped}"
    )


def _timed(results: Sequence[Result]) -> list[tuple[dt.datetime, Result]]:
    timed = [(result.taken, result) for result in results if result.taken is not None]
    if len(timed) < len(results):
        timeless = [result for result in results if result.taken is None]
        raise ProgressionError(
            f"{names_of(timeless)} do not say when they were taken: give --times FILE (CSV: file,time), or "
            "write results of DICOM files with --identify or with INFMAP_UID_KEY set"
        )
    shifted = [result for result in results if result.is_shifted]
    if 0 < len(shifted) < len(results):
        raise ProgressionError(
            f"expected true times or stand-ins, found both ({names_of(shifted)} have stand-ins): write all "
            "results in the same way, or give --times for all"
        )
    return timed


def _remarks(timed: Sequence[tuple[dt.datetime, Result]]) -> list[str]:
    remarks = []
    silent = [result for _, result in timed if not result.patient]
    if len(silent) == len(timed):
        remarks.append("no result says whose it is: they are taken for one patient's")
    elif silent:
        remarks.append(f"{names_of(silent)} say not whose they are: taken for the same patient's")
    remarks += [
        f"{before.name} and {after.name} were taken at the same time: their order is that of their names"
        for (first, before), (second, after) in itertools.pairwise(timed)
        if first == second
    ]
    results = [result for _, result in timed]
    assumed = [result for result in results if result.sides_assumed and result.severity.lungs]
    if assumed:
        remarks.append(
            f"{names_of(assumed)}: the file does not state the sides; right and left are taken as usual"
        )
    for code in dict.fromkeys(code for result in results for code in result.warnings):
        doubtful = [result for result in results if code in result.warnings]
        remarks.append(f"{names_of(doubtful)}: warned of as {code}")
    return remarks
