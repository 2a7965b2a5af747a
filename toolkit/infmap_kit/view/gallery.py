"""The results of a folder as a list: a card each, with what a reader sorts and filters by."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from infmap_kit.answer.severity import Grades
from infmap_kit.errors import SpecError, ViewError
from infmap_kit.imaging.dicom.identity import stand_in
from infmap_kit.imaging.radiograph import MAX_PIXELS, MIN_SIZE_PIXELS
from infmap_kit.model.files import read_json
from infmap_kit.model.finding import COVID_19, FindingSpec
from infmap_kit.model.paint import PAPER, Paint
from infmap_kit.results.folder import DICOM_SUFFIXES
from infmap_kit.results.view import LUNGS, PROBABILITY, RADIOGRAPH
from infmap_kit.text import one_line

MAP = "infection_map"
PICTURES = (MAP, RADIOGRAPH, PROBABILITY, LUNGS)
"""The pictures of a result, by the keys that name their files. All are PNG."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Card:
    """A result, or a file that was rejected.

    Parameters
    ----------
    id
        Identifier in addresses, derived from the name. It is not a path.
    stem
        Name of its JSON without the suffix.
    document
        Plain values for the page; no path among them.
    pictures
        Some of ``PICTURES``, to the file's name in the folder.
    """

    id: str
    stem: str
    document: dict[str, Any]
    pictures: dict[str, str]

    @property
    def listed(self) -> dict[str, Any]:
        """The result as an entry of a list."""
        brief = {key: value for key, value in self.document.items() if key in _LISTED}
        return {**brief, "has_picture": bool({MAP, RADIOGRAPH} & self.pictures.keys())}


_HASHED = re.compile(r"(hmac-)?sha256:[0-9a-f]{32}")
_HASHED_NAME = re.compile(r"dicom_[0-9a-f]{16}(_\d+)?")

_LISTED = frozenset(
    (
        *("id", "source", "written", "rejected", "detected", "severity_percent", "severity_of"),
        *("probability_max", "grade", "classifier", "agrees", "warnings", "patient", "taken"),
        *("words", "words_not", "threshold", "cut_offs"),
    )
)


class Gallery:
    """The results in a folder, read again where a file changed.

    Parameters
    ----------
    folder
        The folder that `infmap-kit infer` wrote to.
    identify
        Whether patients and DICOM files are called as the results call them; else by a hash.

    Raises
    ------
    ViewError
        When it is no folder, or no result is in it.
    """

    def __init__(self, folder: Path, *, identify: bool = False) -> None:
        self.folder = folder
        self._identify = identify
        self._read: dict[str, tuple[tuple[int, int], Card | None]] = {}
        self._by_id: dict[str, Card] = {}
        if not folder.is_dir():
            raise ViewError(
                f"expected the folder that `infmap-kit infer` wrote to, found no folder {folder}"
            )
        if not self.cards():
            raise ViewError(
                f"expected results in {folder}, found none: `infmap-kit infer FILES --output {folder} "
                "--format png,json,view` writes them"
            )

    def cards(self) -> list[Card]:
        """Every result that is there now, sorted by name; what is no result is passed over."""
        seen: dict[str, tuple[tuple[int, int], Card | None]] = {}
        try:
            # Of thousands of results a path each would take longer than asking when they were written.
            with os.scandir(self.folder) as entries:
                files = sorted(
                    (entry for entry in entries if _is_json(entry.name)),
                    key=lambda entry: entry.name,
                )
        except OSError as error:
            raise ViewError(f"cannot read {self.folder}: {error.strerror}") from error
        for file in files:
            try:
                status = file.stat()
            except OSError:
                continue
            stamp = status.st_mtime_ns, status.st_size
            known = self._read.get(file.name)
            if known is None or known[0] != stamp:
                card = _card(Path(file), written_s=status.st_mtime, identify=self._identify)
                known = stamp, card
            seen[file.name] = known
        self._read = seen
        cards = [card for _, card in seen.values() if card is not None]
        self._by_id = {card.id: card for card in cards}
        return cards

    def card(self, id_: str) -> Card | None:
        """A result that was listed, by what it is asked for by; whatever else is asked for leads to no file."""
        return self._by_id.get(id_)

    def picture(self, card: Card, kind: str) -> Path | None:
        """The file of a picture that a result has, if it is there and inside the folder."""
        file = card.pictures.get(kind)
        if file is None:
            return None
        path = self.folder / file
        # A link may lead anywhere.
        inside = path.resolve().is_relative_to(self.folder.resolve())
        return path if inside and path.is_file() else None


def _is_json(name: str) -> bool:
    return name.endswith(".json") and not name.startswith(".")


def _card(file: Path, *, written_s: float, identify: bool) -> Card | None:
    """The card of a JSON; ``None`` when it is none of a result."""
    try:
        document = read_json(file)
    except SpecError:
        return None
    stem = file.name.removesuffix(".json")
    id_ = hashlib.sha256(os.fsencode(stem)).hexdigest()[:32]
    name, source = one_line(stem), _text(document.get("source")) or one_line(stem)
    patient = _text(document.get("patient"))
    if not identify:
        # The name of a DICOM file is often the patient's.
        is_dicom = "uids" in document or source.lower().endswith(DICOM_SUFFIXES)
        if is_dicom and not _HASHED_NAME.fullmatch(source):
            name = source = f"dicom_{id_[:16]}"
        if patient and not _HASHED.match(patient):
            patient = stand_in(patient.encode("utf-8", "backslashreplace"))
    shown: dict[str, Any] = {
        "id": id_,
        "name": name,
        "source": source,
        "written": dt.datetime.fromtimestamp(written_s, dt.UTC).isoformat(timespec="seconds"),
    }
    if isinstance(rejected := document.get("rejected"), dict):
        codes = {"code": _text(rejected.get("code")), "reason": _text(rejected.get("reason"))}
        return Card(id=id_, stem=stem, document={**shown, "rejected": codes}, pictures={})
    severity, highest = (
        _number(document.get(key)) for key in ("severity_percent", "probability_max")
    )
    if severity is None or highest is None:
        return None
    view = _mapping(document.get("view"))
    named = {MAP: document.get(MAP), **{kind: view.get(kind) for kind in PICTURES[1:]}}
    pictures = {kind: str(file) for kind, file in named.items() if _is_plain(file)}
    warnings = [
        {"code": _text(_mapping(one).get("code")), "text": _text(_mapping(one).get("text"))}
        for one in _listed(document.get("warnings"))
    ]
    model, classifier = _mapping(document.get("model")), _mapping(document.get("classifier"))
    shown |= {
        **_size(document),
        "detected": document.get("detected") is True,
        "severity_percent": severity,
        "severity_of": _text(document.get("severity_of")),
        "severity_at_threshold": _numbers(document.get("severity_at_threshold")),
        "probability_max": highest,
        "grade": _text(document.get("grade")),
        "cut_offs": _cut_offs(model.get("grades")),
        "lungs": {
            side: _number(_mapping(lung).get("severity_percent"))
            for side, lung in _mapping(document.get("lungs")).items()
            if side in ("right", "left")
        },
        "classifier": _number(classifier.get("probability")),
        "agrees": document.get("opinions_agree") if classifier else None,
        "sides_stated": document.get("sides_stated") is True,
        "warnings": warnings,
        "notes": [_text(one) for one in _listed(document.get("notes"))],
        "patient": patient,
        "taken": _text(document.get("study_time")),
        "taken_is_shifted": document.get("study_time_shifted") is True,
        "model": " ".join(
            filter(None, (_text(model.get("model_name")), _text(model.get("model_version"))))
        ),
        **_of_finding(model, warnings),
        "pictures": sorted(pictures),
        "tone": _tone(view.get("tone")),
        "offset": _number(view.get("offset")) or 0.0,
        "slope": _number(view.get("slope")) or 1.0,
        "spacing_mm": _spacing(view.get("spacing_mm")),
    }
    return Card(id=id_, stem=stem, document=shown, pictures=pictures)


def _of_finding(model: Mapping[str, Any], warnings: list[dict[str, str]]) -> dict[str, Any]:
    """The threshold, the colours and the words of the finding that the model looks for, and how it paints."""
    stated = {key: value for key, value in model.items() if isinstance(value, str)}
    try:
        finding = FindingSpec.from_parameters(stated)
    except SpecError as error:
        finding = COVID_19
        text = f"the finding cannot be read, and may be another than {finding.name}: {error}"
        warnings.append({"code": "damaged-finding", "text": one_line(text)})
    try:
        paint = Paint.from_parameters(stated)
    except SpecError as error:
        paint = PAPER
        text = f"how the map was painted cannot be read, and it is shown as in the paper: {error}"
        warnings.append({"code": "damaged-paint", "text": one_line(text)})
    return {
        "finding": finding.name,
        "threshold": finding.threshold,
        "colours": finding.colour_table,
        "paint": paint.as_parameters(),
        "words": finding.detected,
        "words_not": finding.not_detected,
    }


def _cut_offs(grades: object) -> list[float]:
    """Where the grades end, in percent; none where the model states none."""
    try:
        return list(Grades.parse(grades).cut_offs) if isinstance(grades, str) else []
    except SpecError:
        return []


def _is_plain(name: object) -> bool:
    """Whether it is the name of a PNG that lies in the folder itself, and not a path that leads elsewhere."""
    return (
        isinstance(name, str)
        and name.endswith(".png")
        and not name.startswith(".")
        and not set(name) & {"/", "\\", "\0"}
    )


def _text(value: object) -> str:
    return one_line(value) if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None  # type: ignore[arg-type]


def _size(document: Mapping[str, Any]) -> dict[str, int]:
    """The radiograph's height and width; 0 where it is a size that no radiograph has."""
    height, width = (int(_number(document.get(key)) or 0) for key in ("height", "width"))
    if min(height, width) < MIN_SIZE_PIXELS or height * width > MAX_PIXELS:
        height = width = 0
    return {"height": height, "width": width}


def _numbers(value: object) -> dict[str, float]:
    pairs = ((key, _number(number)) for key, number in _mapping(value).items())
    return {_text(key): number for key, number in pairs if number is not None}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _listed(value: object) -> Iterable[object]:
    return value if isinstance(value, list) else ()


def _tone(value: object) -> list[float] | None:
    """255 rising values, or nothing: with another number of them a picture would be shown wrong."""
    numbers = [_number(one) for one in _listed(value)]
    rising = [one for one in numbers if one is not None]
    return rising if len(rising) == len(numbers) == 255 and rising == sorted(rising) else None


def _spacing(value: object) -> dict[str, Any] | None:
    stated = _mapping(value)
    down, across = _number(stated.get("down")), _number(stated.get("across"))
    if down is None or across is None or min(down, across) <= 0:
        return None
    return {
        "down": down,
        "across": across,
        "at": "patient" if stated.get("at") == "patient" else "detector",
    }
