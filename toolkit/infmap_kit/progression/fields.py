"""The fields of a JSON document of unknown origin: every type, range and length is checked."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any, NoReturn

from infmap_kit.errors import SpecError
from infmap_kit.model.files import load_strictly
from infmap_kit.text import one_line

MAX_BYTES = 16 * 2**20
"""Largest JSON file. A result takes 2 kB; the lines that `infer --json` prints, as much each."""

MAX_ENTRIES = 64
"""Most entries of an object inside a result."""

_SHOWN = 1e9
"""Numbers below are quoted in messages; Python cannot format every one that JSON may hold."""

MAX_TEXT = 255
"""Most characters of a text, as many as a file's name may have; what goes beyond is cut."""


def read_document(path: Path) -> Any:
    """Parse a JSON file, or JSON Lines as the list of their documents.

    Raises
    ------
    SpecError
        When it is no file, too large, not JSON (RFC 8259: NaN and Infinity are not), holds a key twice, or is
        nested too deep.
    """
    try:
        # A pipe would make it wait.
        if not path.is_file():
            raise SpecError(f"cannot read {path}: there is no such file")
        if (size := path.stat().st_size) > MAX_BYTES:
            raise SpecError(f"expected at most {MAX_BYTES >> 20} MiB in {path}, found {size >> 20}")
        return _parsed(path.read_bytes())
    except OSError as error:
        raise SpecError(f"cannot read {path}: {error.strerror}") from error
    # Besides what is no JSON: bytes that are no text, and numbers of thousands of digits.
    except ValueError as error:
        raise SpecError(f"{path} is not JSON: {shown(str(error))}") from error
    except RecursionError as error:
        raise SpecError(f"{path} is nested too deep") from error


def _parsed(content: bytes) -> Any:
    try:
        return load_strictly(content)
    except json.JSONDecodeError:
        lines = [line for line in content.split(b"\n") if line.strip()]
        # Each line of JSON Lines is an object; a document over several lines does not begin with a whole one.
        if len(lines) < 2 or not lines[0].rstrip().endswith(b"}"):
            raise
        return [load_strictly(line) for line in lines]


def shown(text: str) -> str:
    """A text for terminal, page and table: printable, and not longer than ``MAX_TEXT``."""
    return one_line(text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…")


def file_name(text: str) -> str:
    """The name at the end of a path, as it is, for opening the file; empty where no file can have it."""
    name = PurePath(text).name
    try:
        return name if len(os.fsencode(name)) <= MAX_TEXT and "\0" not in name else ""
    # JSON may hold halves of characters that stand for no byte.
    except UnicodeEncodeError:
        return ""


class Fields:
    """An object of a JSON document.

    Parameters
    ----------
    document
        The object.
    where
        Its name in messages.

    Raises
    ------
    SpecError
        When the document is no object; each method raises it, too, for a value that is not as it must be.
    """

    def __init__(self, document: object, where: str) -> None:
        if not isinstance(document, Mapping):
            raise SpecError(f"expected an object in {where}, found {_kind(document)}")
        self._document = document
        self.where = where

    def __contains__(self, key: str) -> bool:
        return self._document.get(key) is not None

    def text(self, key: str, default: str | None = None) -> str:
        """A text, escaped and cut to be shown."""
        return shown(self._of(key, str, "a text", default))

    def name(self, key: str) -> str:
        """The name of a file as it is, for opening it; empty when it is missing."""
        return file_name(self._of(key, str, "a text", ""))

    def flag(self, key: str, default: bool | None = None) -> bool:
        """Read a field that is true or false."""
        return bool(self._of(key, bool, "true or false", default))

    def number(
        self, key: str, *, low: float = 0.0, high: float = 100.0, default: float | None = None
    ) -> float:
        """A finite number in a range."""
        value = self._of(key, (int, float), "a number", default)
        # bool is an int to Python; an int may be too large for a float.
        if isinstance(value, bool) or not low <= value <= high or not math.isfinite(value):
            self._refuse(key, f"a number from {low:g} to {high:g}")
        return float(value)

    def numbers(self, key: str, *, high: float = 100.0) -> dict[str, float]:
        """An object of numbers; empty when it is missing."""
        inner = self.inner(key)
        return {shown(name): inner.number(name, high=high) for name in inner.names()}

    def texts(self, key: str) -> dict[str, str]:
        """An object of texts; empty when it is missing."""
        inner = self.inner(key)
        return {shown(name): inner.text(name) for name in inner.names()}

    def list(self, key: str, *, most: int = MAX_ENTRIES) -> list[Any]:
        """A list; empty when it is missing."""
        entries: list[Any] = self._of(key, list, "a list", [])
        if len(entries) > most:
            self._refuse(key, f"at most {most} entries")
        return entries

    def inner(self, key: str) -> Fields:
        """An object inside; an empty one when it is missing."""
        value = self._document[key] if key in self else {}
        return Fields(value, f"{shown(key)} of {self.where}")

    def names(self) -> tuple[str, ...]:
        """Return the keys of the document."""
        if len(self._document) > MAX_ENTRIES:
            raise SpecError(
                f"expected at most {MAX_ENTRIES} entries in {self.where}, found {len(self._document)}"
            )
        return tuple(self._document)

    def _of(self, key: str, kind: Any, described: str, default: Any) -> Any:
        value = self._document.get(key)
        if value is None and default is not None:
            return default
        if not isinstance(value, kind):
            self._refuse(key, described)
        return value

    def _refuse(self, key: str, expected: str) -> NoReturn:
        value = self._document.get(key)
        actual = _kind(value)
        if isinstance(value, (int, float)) and actual == "a number" and abs(value) < _SHOWN:
            actual = f"{value:g}"
        # A key is of unknown origin, too, and a message has one line.
        name = shown(key)
        raise SpecError(f"expected {name} of {self.where} to be {expected}, found {actual}")


def _kind(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return "nothing" if value is None else kinds.get(type(value), "a number")
