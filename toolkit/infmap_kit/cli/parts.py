"""Options for the networks that are served beside the infection's, made from the registry of parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infmap_kit.cli.options import Given
from infmap_kit.parts.part import Part
from infmap_kit.parts.registry import optional_parts

SETTINGS = tuple(name for part in optional_parts() if part.has_own_run for name in part.settings)
"""Options that belong to a part, such as ``--grades``; nothing is proved by them."""


def part_options() -> type[Any]:
    """A dataclass with the run folder of each part and the parts' settings."""
    fields: list[Any] = []
    for part in _with_option():
        metadata = {"help": part.help, "metavar": "RUN"}
        fields.append((part.name, Path | None, dataclasses.field(default=None, metadata=metadata)))
        for name, text in part.settings.items():
            setting = dataclasses.field(default=None, metadata={"help": text})
            fields.append((name, str | None, setting))
    return dataclasses.make_dataclass("PartOptions", fields, frozen=True, kw_only=True)


def _with_option() -> list[Part]:
    return [part for part in optional_parts() if part.has_own_run]


def parts_of(given: Given) -> dict[str, Path | None]:
    """Run folders that were given, by the parts' names."""
    return {part.name: given.values.get(part.name) for part in _with_option()}


def settings_of(given: Given) -> Mapping[str, str | None]:
    """Settings of parts that were given, by name."""
    return {name: given.values.get(name) for name in SETTINGS}
