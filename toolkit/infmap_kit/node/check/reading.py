"""Reading a node's TOML file, with every fault at once."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from infmap_kit.errors import NodeError
from infmap_kit.node.check.lines import Key, line_at, lines_of, name_of
from infmap_kit.node.check.sense import Fault, contradictions, pointless, unheard, unusable_here
from infmap_kit.node.config import FOLDER_CALLER, NodeConfig


def read_config(path: Path) -> NodeConfig:
    """Read a node's TOML file.

    Raises
    ------
    NodeError
        When there is no such file, or it has faults: all of them in one line.
    """
    checked = _checked(path)
    faults = checked.told()
    if checked.config is None or faults:
        number = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise NodeError(f"{path} has {number}: {'; '.join(faults)}")
    return checked.config


def find_faults(path: Path) -> list[str]:
    """Every fault of a node's TOML file as ``line N: key: what is wrong``; empty for a good one.

    Besides what :func:`read_config` refuses, what cannot be used on this machine, and what can never work.

    Raises
    ------
    NodeError
        When the file cannot be read, or is not TOML.
    """
    checked = _checked(path)
    if checked.config is not None:
        checked.faults += [*pointless(checked.config), *unusable_here(checked.config)]
    return checked.told()


def find_notes(path: Path) -> list[str]:
    """Settings of a valid file that may be unintended, as ``line N: key: consequence``.

    Raises
    ------
    NodeError
        When the file has faults.
    """
    config = read_config(path)
    return _told(unheard(config), lines_in(path))


def lines_in(path: Path) -> dict[Key, int]:
    """Line of every key of a file that was read."""
    return lines_of(path.read_text(encoding="utf-8-sig"))


@dataclasses.dataclass(kw_only=True)
class _Checked:
    config: NodeConfig | None
    faults: list[Fault]
    lines: dict[Key, int]

    def told(self) -> list[str]:
        """The faults in the order of the file."""
        return _told(self.faults, self.lines)


def _told(faults: Iterable[Fault], lines: dict[Key, int]) -> list[str]:
    placed = sorted({(line_at(lines, key), name_of(key) + text) for key, text in faults})
    return [f"line {line}: {text}" if line else text for line, text in placed]


def _checked(path: Path) -> _Checked:
    try:
        # Some editors write a byte order mark, which TOML does not know.
        text = path.read_text(encoding="utf-8-sig")
        document = tomllib.loads(text)
    except OSError as error:
        raise NodeError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise NodeError(
            f"{path} is not TOML: expected text in UTF-8, found another code"
        ) from error
    except (ValueError, RecursionError) as error:
        raise NodeError(f"{path} is not TOML: {error}") from error
    config, faults = None, list(_loose_ends(document))
    try:
        config = NodeConfig.model_validate(document, context={"folder": path.absolute().parent})
    except ValidationError as error:
        faults += [_fault(detail) for detail in error.errors(include_url=False)]
    else:
        faults += contradictions(config)
    return _Checked(config=config, faults=faults, lines=lines_of(text))


def _fault(error: Any) -> Fault:
    """One of pydantic's errors, in a user's words."""
    key = tuple(part for part in error["loc"] if part not in ("c-store", "stow-rs"))
    if error["type"] == "missing":
        return key, " is missing"
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(key[-1]), known_keys(), n=1)
        return key, " is no key" + (f", meant is perhaps {near[0]}" if near else "")
    if error["type"].startswith("union_tag"):
        return (*key, "kind"), ": expected one of c-store, stow-rs"
    message = error["msg"].removeprefix("Value error, ")
    value = error["input"]
    shown = f", found {value!r}" if isinstance(value, str | int | float) else ""
    return key, f": {message[0].lower()}{message[1:]}{shown}"


def known_keys() -> set[str]:
    """Every key that may stand anywhere in the file."""
    return set(_keys_of(NodeConfig))


def _keys_of(section: type[BaseModel]) -> Iterator[str]:
    for name, field in section.model_fields.items():
        yield name
        for inner in _sections_in(field.annotation):
            yield from _keys_of(inner)


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _sections_in(argument)


def _loose_ends(document: dict[str, Any]) -> Iterator[Fault]:
    """Names that are used and not defined, or defined twice, in the raw document.

    So they show beside all other faults.
    """
    names = {
        table: [entry.get("name") for entry in _tables(document, table)]
        for table in ("models", "destinations", "rules")
    }
    for table, defined in names.items():
        for name, count in Counter(map(str, defined)).items():
            if count > 1:
                last = max(at for at, one in enumerate(defined) if str(one) == name)
                yield (table, last, "name"), f": {name!r} is defined {count} times"
    names["callers"] = [entry.get("ae_title") for entry in _tables(document, "callers")]
    for number, rule in enumerate(_tables(document, "rules")):
        for key, table in (("model", "models"), ("to", "destinations"), ("callers", "callers")):
            used = rule.get(key, [])
            for name in [used] if isinstance(used, str) else used if isinstance(used, list) else []:
                if name not in names[table] and not (key == "callers" and name == FOLDER_CALLER):
                    known = ", ".join(map(str, names[table])) or "none"
                    yield ("rules", number, key), f": {name!r} is not among the {table} ({known})"
    for number, destination in enumerate(_tables(document, "destinations")):
        if ("user" in destination) != ("password_file" in destination):
            yield ("destinations", number), ": user and password_file go together"


def _tables(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    entries = document.get(key, [])
    if not isinstance(entries, list):
        return []
    return [entry for entry in entries if isinstance(entry, dict)]
