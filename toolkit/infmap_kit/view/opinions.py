"""A reader's opinions: mark, estimate and note of each result in one CSV file, and the accepted masks.

``opinions.csv`` has a row a radiograph and begins with ``name``. `infmap-train evaluate --severity
opinions.csv` reads it as experts' scores: ``severity_percent`` is this reader's. ``masks/`` has a PNG for each
result that the reader agreed with, at the threshold that stood: `infmap-annotate predict STUDY --masks` reads
them.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import io
import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any

import cv2
import numpy as np

from infmap_kit.errors import ViewError
from infmap_kit.model.files import make_private, write_bytes, writing_to
from infmap_kit.results.view import PROBABILITY, PROBABILITY_STEPS
from infmap_kit.text import one_line, shown
from infmap_kit.view.gallery import Card, Gallery

FOLDER = "opinions"
"""In the folder of results; a reader's own lies in it."""

COLUMNS = ("name", "reader", "mark", "severity_percent", "threshold", "note", "stated_at", "model")
MARKS = ("", "agree", "disagree")
LONGEST_NOTE = 2000

_READER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Opinion:
    """A reader's opinion of a result.

    Parameters
    ----------
    mark
        One of ``MARKS``: whether the map is right, at the threshold.
    severity_percent
        The reader's own estimate, in percent of the lungs; ``None`` where none is given. A model's severity is
        never put in its place: agreement with it would be agreement of the model with itself.
    threshold
        The probability at which the contour stood.
    note
        Free words.

    Raises
    ------
    ViewError
        Naming what does not fit.
    """

    mark: str = ""
    severity_percent: float | None = None
    threshold: float = 0.5
    note: str = ""

    def __post_init__(self) -> None:
        if self.mark not in MARKS:
            raise ViewError(
                f"expected a mark of {', '.join(MARKS[1:])} or none, found {shown(self.mark)!r:.60}"
            )
        if self.severity_percent is not None and not 0 <= self.severity_percent <= 100:
            raise ViewError(
                f"expected a severity from 0 to 100 percent of the lungs, found {self.severity_percent:g}"
            )
        if not 0 < self.threshold < 1:
            raise ViewError(f"expected a threshold between 0 and 1, found {self.threshold:g}")
        if len(self.note) > LONGEST_NOTE:
            raise ViewError(f"expected a note of at most {LONGEST_NOTE} characters")

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said."""
        return not (self.mark or self.note or self.severity_percent is not None)


class Opinions:
    """A reader's opinions of the results in a folder; threads may share it.

    Parameters
    ----------
    gallery
        The results.
    reader
        The reader's name: letters, digits, ``-`` and ``_``.

    Raises
    ------
    ViewError
        When the name is another, or the file that is there cannot be read.
    """

    def __init__(self, gallery: Gallery, reader: str) -> None:
        if not _READER.fullmatch(reader):
            raise ViewError("expected --reader to be up to 40 letters, digits, - and _")
        self._gallery = gallery
        self._lock = threading.Lock()
        self.reader = reader
        self.folder = gallery.folder / FOLDER / reader
        self.file = self.folder / "opinions.csv"
        self._rows = {row["name"]: row for row in self._read()}

    def stated(self, cards: Iterable[Card]) -> dict[str, dict[str, Any]]:
        """The opinions of results, by their ids, as the page has them."""
        names = {card.id: one_line(card.stem) for card in cards}
        with self._lock:
            return {
                id_: _as_json(self._rows[name]) for id_, name in names.items() if name in self._rows
            }

    def state(self, id_: str, opinion: Opinion) -> None:
        """Keep an opinion of a result; an empty one takes the earlier one away.

        Raises
        ------
        ViewError
            When there is no such result, or the file cannot be written.
        """
        card = self._gallery.card(id_)
        if card is None:
            raise ViewError("there is no such result, or no longer: load the page again")
        name, severity = one_line(card.stem), opinion.severity_percent
        row = {
            "name": name,
            "reader": self.reader,
            "mark": opinion.mark,
            "severity_percent": "" if severity is None else f"{severity:g}",
            "threshold": f"{opinion.threshold:g}",
            "note": opinion.note,
            "stated_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "model": card.document.get("model", ""),
        }
        with self._lock, writing_to(self.folder, ViewError):
            rows = {key: value for key, value in self._rows.items() if key != name}
            if not opinion.is_empty:
                rows[name] = row
            make_private(self.folder)
            write_bytes(self.file, csv_of(rows.values()), private=True)
            self._keep_mask(card, opinion)
            self._rows = rows

    def _keep_mask(self, card: Card, opinion: Opinion) -> None:
        """Write the mask that was agreed with, at the radiograph's size; no other stays."""
        path = self.folder / "masks" / f"{card.stem}.png"
        mask = self._mask(card, opinion.threshold) if opinion.mark == "agree" else None
        if mask is None:
            path.unlink(missing_ok=True)
        else:
            write_bytes(path, mask, private=True)

    def _mask(self, card: Card, threshold: float) -> bytes | None:
        file = self._gallery.picture(card, PROBABILITY)
        size = (card.document.get("width", 0), card.document.get("height", 0))
        if file is None or not all(size):
            return None
        steps = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_UNCHANGED)
        if steps is None or steps.dtype != np.uint16 or steps.ndim != 2:
            return None
        probability = steps.astype(np.float32) / np.float32(PROBABILITY_STEPS)
        fitted = cv2.resize(probability, size, interpolation=cv2.INTER_LINEAR)
        mask = (fitted >= threshold).astype(np.uint8) * 255
        return cv2.imencode(".png", mask)[1].tobytes()

    def _read(self) -> list[dict[str, str]]:
        try:
            text = self.file.read_text(encoding="utf-8")
            rows = list(csv.DictReader(io.StringIO(text, newline="")))
            if rows and tuple(rows[0]) != COLUMNS:
                raise ViewError(
                    f"expected {self.file} to begin with {','.join(COLUMNS)}, found other columns: move it away"
                )
            for row in rows:
                _as_json(row)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ViewError(f"cannot read {self.file}: {error.strerror}") from error
        except (UnicodeDecodeError, csv.Error, ValueError, TypeError) as error:
            raise ViewError(f"{self.file} is no file of opinions: {shown(str(error))}") from error
        return rows


def csv_of(rows: Iterable[Mapping[str, str]]) -> bytes:
    """Rows as CSV in UTF-8, with a header."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, COLUMNS)
    table.writeheader()
    table.writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _as_json(row: dict[str, str]) -> dict[str, Any]:
    severity = row["severity_percent"]
    return {
        "mark": row["mark"],
        "severity_percent": float(severity) if severity else None,
        "threshold": float(row["threshold"]),
        "note": row["note"],
    }
