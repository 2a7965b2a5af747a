"""Records out of files: each field of the type that its dataclass states, or a line that names the field."""

from __future__ import annotations

import dataclasses
import functools
import re
import typing
from collections.abc import Mapping
from reprlib import repr as _short
from typing import Any, TypeVar

from infmap_kit.errors import SpecError

_T = TypeVar("_T")

_DIGEST = re.compile(r"[0-9a-f]{64}")
_LONGEST_PATH = 512


def typed(kind: type[_T], document: object, where: str, *, others: bool = False, **made: Any) -> _T:
    """A dataclass of a JSON object.

    Parameters
    ----------
    kind
        A dataclass; its fields' types are what the object's must be, without conversion.
    document
        The object.
    where
        Origin of the value, for messages.
    others
        Whether the object may hold keys that are no fields.
    made
        Fields that were made already, and are not taken from the object.

    Raises
    ------
    SpecError
        Naming the field that is missing, of another type, or that there is not; and what the dataclass
        itself raises.
    """
    import msgspec  # a fifth of what --help takes

    try:
        values = msgspec.convert(
            document, _struct(typing.cast("Any", kind), frozenset(made), not others)
        )
        return kind(**made, **msgspec.structs.asdict(values))
    except msgspec.ValidationError as error:
        raise SpecError(f"{where}: {_said(str(error))}") from error
    except RecursionError as error:
        raise SpecError(f"{where} is nested too deep") from error
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from error


def _said(error: str) -> str:
    """The words of msgspec, "Expected `int`, got `str` - at `$.release`", with the field in front."""
    text, _, place = error.replace("`", "").partition(" - at $")
    text = text.replace("Object missing required field ", "it lacks ")
    text = text.replace("Object contains unknown field ", "there is no field ")
    text = text.replace("Expected", "expected").replace(", got", ", found")
    place = place.removeprefix(".")
    return f"{place:.80}: {text:.200}" if place else text[:200]


@functools.cache
def _struct(kind: type[Any], made: frozenset[str], strict: bool) -> Any:
    """The same fields for msgspec, less those that are made."""
    import msgspec

    hints = typing.get_type_hints(kind)
    fields = []
    for field in dataclasses.fields(kind):
        if field.name in made:
            continue
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = msgspec.field(default_factory=field.default_factory)
        stated = () if default is dataclasses.MISSING else (default,)
        fields.append((field.name, hints[field.name], *stated))
    return msgspec.defstruct(kind.__name__, fields, forbid_unknown_fields=strict, kw_only=True)


def require_text(key: str, value: str, longest: int, *, empty: bool = False) -> None:
    """Refuse a text that is empty or longer than it may be, or that would not be shown as it stands.

    Raises
    ------
    SpecError
        Naming the key.
    """
    if (value.strip() or empty) and len(value) <= longest and value.isprintable():
        return
    least = 0 if empty else 1
    raise SpecError(
        f"{key}: expected {least} to {longest} characters in one line without control characters or marks of "
        f"direction, found {_short(value)} ({len(value)})"
    )


def require_digest(key: str, value: str) -> None:
    """Refuse what is no SHA-256 in lower-case hexadecimal.

    Raises
    ------
    SpecError
        Naming the key.
    """
    if not _DIGEST.fullmatch(value):
        raise SpecError(f"{key}: expected a SHA-256, found {_short(value)}")


def require_files(files: Mapping[str, str]) -> None:
    """Refuse files whose names lead out of their folder or through another file, or whose digests are none.

    Raises
    ------
    SpecError
        Naming the file.
    """
    for name, digest in files.items():
        require_text("files", name, _LONGEST_PATH)
        parts = name.split("/")
        if name.startswith("/") or "\\" in name or not {"", ".", ".."}.isdisjoint(parts):
            raise SpecError(f"files: {_short(name)} leads out of the folder")
        for end in range(1, len(parts)):
            if "/".join(parts[:end]) in files:
                raise SpecError(f"files: {_short(name)} lies in a file")
        require_digest(f"files, {_short(name)}", digest)
