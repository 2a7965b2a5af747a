"""The page on configuration files and records, made from the code when the site is built."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

_CONFIGURATION = """\
# Configuration files

What each file may hold, with types and defaults. An unknown key is refused by name.

## node.toml

The rules of the [node](../node.md), which explains each."""

_RECORDS = """\
## finding.toml

[Another finding](../finding.md) than COVID-19 infection.

::: infmap_kit.model.finding.FindingSpec
    options:
      members: false

## spec.json

A run folder's record: what training hands over.

::: infmap_kit.model.spec.ModelSpec
    options:
      members: false

## manifest.json

A repository's record, which `serve` holds every file against.

::: infmap_kit.triton.repository.Manifest
    options:
      members: false
"""

_PLAN = """\
## A plan of trainings

What `infmap-train reproduce` reads, as TOML: [trainings by a plan](../cluster.md#trainings-by-a-plan).

::: infmap_train.reproduction.plan.PlanFile
    options:
      members: false

::: infmap_train.reproduction.plan.PlanTable
    options:
      members: false

The options that `fit` may hold; the [command](infmap-train.md) has the same.
"""

_GATE = """\
## gate.json

The report of [the gate](../releases.md#the-gate-and-its-bounds), which `export`, `install` and `verify` write
beside the worst picture. A part that is served, such as `lungs`, has its own figures under its name."""

_GATE_KEYS = {
    "passed": "whether the engine is equivalent to its reference",
    "pictures": "how many pictures were compared",
    "min_image_dice": "the lowest Dice of a picture with 50 infected pixels or more",
    "thresholds": "the bounds, described below",
    "reasons": "why it is not equivalent, a sentence each; empty where it is",
    "flips": "names of the pictures whose detection changed",
    "int8": "what each network in INT8 computes in a higher precision, and why",
    "by_picture": "the comparison of each picture, described below",
}
"""Keys whose meaning no label of a check says."""

_GATE_RECORDS = """
### Bounds

::: infmap_kit.gate.bounds.Thresholds
    options:
      members: false
      heading_level: 4

### One picture

::: infmap_kit.gate.comparison.PictureComparison
    options:
      members: false
      heading_level: 4
"""


def configuration_page() -> str:
    """The keys of node.toml by section, and the records that are dataclasses."""
    from infmap_kit.node.config import NodeConfig

    schema = NodeConfig.model_json_schema()
    lines = [_CONFIGURATION, "", "| section | key | type | default |", "|---|---|---|---|"]
    for section, stated in schema["properties"].items():
        is_list = stated.get("type") == "array"
        shown = f"`[[{section}]]`" if is_list else f"`[{section}]`"
        for kind in _kinds(stated.get("items", stated) if is_list else stated, schema):
            for key, value in kind["properties"].items():
                needed = key in kind.get("required", ())
                default = "required" if needed else f"`{json.dumps(value.get('default', ''))}`"
                lines.append(f"| {shown} | `{key}` | {_type(value, schema)} | {default} |")
    return "\n".join([*lines, "", _RECORDS, *_plan_lines(), "", *_gate_lines(), _GATE_RECORDS])


def _plan_lines() -> Iterator[str]:
    """The keys of a plan, and the options of `fit` that it may state."""
    from infmap_train.options import FitOptions
    from infmap_train.reproduction.plan import FIT_KEYS

    yield from (_PLAN, "| key | default | meaning |", "|---|---|---|")
    for field in dataclasses.fields(FitOptions):
        if field.name in FIT_KEYS:
            yield f"| `{field.name}` | `{json.dumps(field.default)}` | {field.metadata['help']} |"


def _gate_lines() -> Iterator[str]:
    """The keys of a report on no picture at all, in its order."""
    from infmap_kit.gate.bounds import THRESHOLDS
    from infmap_kit.gate.comparison import GateReport

    report = GateReport(
        dice=1.0, largest_error=0.0, error_p999=0.0, crossing_share=0.0, pictures=(), thresholds=THRESHOLDS
    )  # fmt: skip
    checks = {check.key: check.label for check in report.checks()}
    yield from (_GATE, "", "| key | meaning |", "|---|---|")
    yield from (f"| `{key}` | {_GATE_KEYS.get(key) or checks[key]} |" for key in report.as_json())


def _kinds(stated: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects that a place of a JSON schema may hold."""
    options = stated.get("anyOf") or stated.get("oneOf") or stated.get("allOf") or [stated]
    names = [option["$ref"].rpartition("/")[2] for option in options if "$ref" in option]
    return [schema["$defs"][name] for name in names]


def _type(stated: dict[str, Any], schema: dict[str, Any]) -> str:
    """A value's type in words, with its bounds."""
    if objects := _kinds(stated, schema):
        return " or ".join(f"table of {', '.join(one['properties'])}" for one in objects)
    options = [one for one in stated.get("anyOf", [stated]) if one.get("type") != "null"]
    if len(options) > 1:
        return " or ".join(_type(option, schema) for option in options)
    (only,) = options
    if "enum" in only or "const" in only:
        return ", ".join(f"`{value}`" for value in only.get("enum", [only.get("const")]))
    if only.get("type") == "array":
        return f"list of {_type(only['items'], schema)}"
    bounds = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most"}
    said = [f"{words} {only[key]:g}" for key, words in bounds.items() if key in only]
    return " ".join([str(only.get("type", "text")), *said])
