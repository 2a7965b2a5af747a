"""The convolutions that INT8 networks keep in a higher precision, for the gate's report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infmap_kit.graphs.precision.int8_record import Int8Record
from infmap_kit.model.typed import typed
from infmap_kit.parts.registry import all_parts
from infmap_kit.text import one_line

_INT8 = "int8"


def int8_key(prefix: str) -> str:
    """The key of a network's record in a manifest's ``model``, of the part's ``record_prefix``."""
    return f"{prefix}{_INT8}"


def int8_records(model: Mapping[str, Any]) -> dict[str, Int8Record]:
    """The records of a manifest's ``model`` by the networks' graphs; empty where nothing is in INT8.

    Raises
    ------
    SpecError
        When one is damaged.
    """
    keys = {
        part.graph.name: int8_key(part.record_prefix) for part in all_parts() if part.is_lowered
    }
    return {
        name: typed(Int8Record, model[key], f"{key} of the manifest", others=True)
        for name, key in keys.items()
        if key in model
    }


def int8_paragraph(network: str, record: Int8Record) -> list[str]:
    """Lines of Markdown: how many convolutions of a network are not in INT8, why, and which."""
    others, rest = len(record.not_int8), record.rest.upper()
    if not others:
        return [f"All convolutions of `{network}` compute in INT8, and none was kept in {rest}."]
    if record.quantised is None:
        count = f"{_convolutions(others)} of `{network}` compute in {rest}, the others in INT8."
    else:
        count = (
            f"Of {_convolutions(others + record.quantised)} of `{network}`, {record.quantised} compute in INT8 "
            f"and {others} in {rest}."
        )
    why = (
        f" They were kept because {record.kept_because}."
        if record.kept and record.kept_because
        else ""
    )
    return [
        f"{count}{why}",
        "",
        *(f"- {_code(name)}" for name in record.kept),
        *(f"- {_code(name)}, quantised, but the engine has no INT8 for it" for name in record.left),
    ]


def _convolutions(count: int) -> str:
    return f"{count} convolution{'s' if count != 1 else ''}"


def _code(name: str) -> str:
    """A name out of somebody's graph, in which Markdown sees nothing."""
    return "`" + one_line(name).replace("`", "'") + "`"
