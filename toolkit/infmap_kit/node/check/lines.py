"""Lines of a TOML file's keys, which the parser keeps to itself."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

Key = tuple[str | int, ...]
"""Place of a value, as in ``("rules", 0, "to")``."""


def lines_of(text: str) -> dict[Key, int]:
    """Line, from 1, of every table and key of a TOML document that can be parsed."""
    lines: dict[Key, int] = {}
    numbers: dict[Key, int] = {}
    table: Key = ()
    for line, statement in _statements(text):
        if statement.lstrip().startswith("["):
            names = _names(tomllib.loads(statement))
            table = ()
            for name in names[:-1]:
                table = _entry((*table, name), numbers)
            table = (*table, names[-1])
            if statement.lstrip().startswith("[["):
                numbers[table] = numbers.get(table, 0) + 1
                lines.setdefault(table, line)
                table = _entry(table, numbers)
            lines.setdefault(table, line)
        else:
            for key in _keys(tomllib.loads(statement)):
                lines.setdefault((*table, *key), line)
    return lines


def line_at(lines: Mapping[Key, int], key: Key) -> int:
    """Line of a key, or of the nearest table around it; 0 when that is the whole file."""
    while key and key not in lines:
        key = key[:-1]
    return lines.get(key, 0)


def name_of(key: Key) -> str:
    """A key as it is written, as in ``rules[0].to[1]``."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return "".join(parts).removeprefix(".")


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Split into statements: one is whole as soon as it can be parsed by itself."""
    begun, statement = 0, ""
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        begun = begun or number
        statement += line
        try:
            tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        if statement.strip() and not statement.lstrip().startswith("#"):
            yield begun, statement
        begun, statement = 0, ""


def _entry(table: Key, numbers: dict[Key, int]) -> Key:
    """A table, or the latest entry of an array of tables."""
    return (*table, numbers[table] - 1) if table in numbers else table


def _names(document: Any) -> list[str]:
    """The names in a table's header."""
    names = []
    while document:
        ((name, document),) = document.items()
        names.append(name)
        if isinstance(document, list):
            (document,) = document
    return names


def _keys(value: Any) -> Iterator[Key]:
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, inner in items:
        yield (name,)
        for key in _keys(inner):
            yield (name, *key)
