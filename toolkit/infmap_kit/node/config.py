"""The node's TOML file; a check reports every fault at once, each at its key."""

from __future__ import annotations

import difflib
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    StringConstraints,
    ValidationError,
    ValidationInfo,
)

from infmap_kit.errors import NodeError

FOLDER_CALLER = "FOLDER"
"""Caller of files in a watched folder, which come without an AE title."""

Output = Literal["sc", "seg", "sr", "gsps"]
"""Kinds of results, as in :class:`infmap_kit.results.dicom.results.ResultKind`."""


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder", Path())
    return Path(folder, path.expanduser())


def _that_exists(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


_Path = Annotated[Path, AfterValidator(_beside_the_file)]
_File = Annotated[_Path, AfterValidator(_that_exists)]
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
# DICOM PS3.5, 6.2: up to 16 characters of the basic set, no backslash, not only spaces.
AETitle = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=16, pattern=r"^[ -\[\]-~]+$"),
]
_Port = Annotated[int, Field(ge=1, le=65535)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerTls(_Section):
    """Certificate of the node for callers; with ``ca``, callers must show one of that authority."""

    certificate: _File
    key: _File
    ca: _File | None = None


class ClientTls(_Section):
    """Authority by which a PACS is recognised, and certificate of the node for it."""

    ca: _File | None = None
    certificate: _File | None = None
    key: _File | None = None


class NodeSection(_Section):
    """``[node]``: its addresses and its folder."""

    spool: _Path
    ae_title: AETitle = "INFMAP"
    host: str = "127.0.0.1"
    port: _Port = 11112
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    tls: ServerTls | None = None


class Limits(_Section):
    """``[limits]``: bounds of what callers use."""

    max_object_mb: Annotated[int, Field(ge=1, le=4096)] = 256
    max_associations: Annotated[int, Field(ge=1, le=1000)] = 16
    max_associations_per_address: Annotated[int, Field(ge=1, le=1000)] = 8
    associations_per_minute: Annotated[int, Field(ge=1)] = 600
    keep_free_mb: Annotated[int, Field(ge=1)] = 1024
    idle_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    artim_s: Annotated[float, Field(gt=0, le=3600)] = 10.0


class Work(_Section):
    """``[work]``: when a radiograph is given up."""

    max_attempts: Annotated[int, Field(ge=1)] = 5
    max_crashes: Annotated[int, Field(ge=1)] = 5


class Caller(_Section):
    """``[[callers]]``: a caller that may send; others may not."""

    ae_title: AETitle
    address: IPvAnyNetwork | None = None


class Model(_Section):
    """``[[models]]``: a served ensemble."""

    name: _Name
    url: Annotated[str, StringConstraints(pattern=r"^[^\s:/]+:\d+$")] = "127.0.0.1:8001"


class _Destination(_Section):
    name: _Name
    timeout_s: Annotated[float, Field(gt=0)] = 30.0
    max_send_s: Annotated[float, Field(gt=0)] = 600.0
    max_wait_s: Annotated[float, Field(gt=0)] = 60.0
    max_refusals: Annotated[int, Field(ge=1)] = 8
    give_up_after_h: Annotated[float, Field(gt=0)] = 168.0


class CStoreDestination(_Destination):
    """``[[destinations]]`` of kind ``c-store``."""

    kind: Literal["c-store"]
    host: str
    port: _Port
    ae_title: AETitle
    tls: ClientTls | None = None


class StowDestination(_Destination):
    """``[[destinations]]`` of kind ``stow-rs``; secrets stand in files of their own."""

    kind: Literal["stow-rs"]
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$")]
    tls: ClientTls | None = None
    token_file: _File | None = None
    user: str | None = None
    password_file: _File | None = None


Destination = Annotated[CStoreDestination | StowDestination, Field(discriminator="kind")]


class Rule(_Section):
    """``[[rules]]``: the first that fits a radiograph decides; an empty list fits all."""

    name: _Name
    model: str
    to: list[str]
    callers: list[AETitle] = []
    modalities: list[str] = []
    body_parts: list[str] = []
    outputs: Annotated[list[Output], Field(min_length=1)] = ["sc", "seg", "sr"]
    rejects: Literal["report", "keep"] = "keep"
    secondary_captures: bool = False


class Retention(_Section):
    """``[retention]``: how long what is finished stays."""

    days: Annotated[float, Field(gt=0)] = 7.0
    max_gb: Annotated[float, Field(gt=0)] = 50.0


class StatusPage(_Section):
    """``[status]``: where the status page and the metrics are."""

    host: str = "127.0.0.1"
    port: _Port = 8088


class NodeConfig(_Section):
    """The file."""

    node: NodeSection
    limits: Limits = Limits()
    work: Work = Work()
    callers: Annotated[list[Caller], Field(min_length=1)]
    models: Annotated[list[Model], Field(min_length=1)]
    destinations: list[Destination] = []
    rules: Annotated[list[Rule], Field(min_length=1)]
    retention: Retention = Retention()
    status: StatusPage = StatusPage()

    def model_url(self, name: str) -> str:
        """Where the model called ``name`` is served."""
        return next(model.url for model in self.models if model.name == name)


def read_config(path: Path) -> NodeConfig:
    """Read a node's TOML file.

    Raises
    ------
    NodeError
        When there is no such file, or it has faults: all of them in one line.
    """
    config, faults = _checked(path)
    if config is None or faults:
        number = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise NodeError(f"{path} has {number}: {'; '.join(faults)}")
    return config


def find_faults(path: Path) -> list[str]:
    """Every fault of a node's TOML file as ``key: what is wrong``; empty for a good one.

    Raises
    ------
    NodeError
        When the file cannot be read, or is not TOML.
    """
    return _checked(path)[1]


def _checked(path: Path) -> tuple[NodeConfig | None, list[str]]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NodeError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise NodeError(f"{path} is not TOML: {error}") from error
    config, faults = None, list(_loose_ends(document))
    try:
        config = NodeConfig.model_validate(document, context={"folder": path.absolute().parent})
    except ValidationError as error:
        faults += [_fault(detail) for detail in error.errors(include_url=False)]
    return config, sorted(dict.fromkeys(faults))


def _fault(error: Any) -> str:
    """One of pydantic's errors as ``key: what is wrong``, the key as in ``rules[0].to[1]``."""
    location = [part for part in error["loc"] if part not in ("c-store", "stow-rs")]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    key = key.removeprefix(".")
    if error["type"] == "missing":
        return f"{key} is missing"
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(location[-1]), known_keys(), n=1)
        return f"{key} is no key" + (f", meant is perhaps {near[0]}" if near else "")
    if error["type"].startswith("union_tag"):
        return f"{key}.kind: expected one of c-store, stow-rs"
    message = error["msg"].removeprefix("Value error, ")
    value = error["input"]
    shown = f", found {value!r}" if isinstance(value, str | int | float) else ""
    return f"{key}: {message[0].lower()}{message[1:]}{shown}"


def known_keys() -> set[str]:
    """Every key that may stand anywhere in the file."""
    sections = (*_Section.__subclasses__(), *_Destination.__subclasses__())
    return {name for section in sections for name in section.model_fields}


def _loose_ends(document: dict[str, Any]) -> Iterator[str]:
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
                yield f"{table}: {name!r} is defined {count} times"
    names["callers"] = [entry.get("ae_title") for entry in _tables(document, "callers")]
    for number, rule in enumerate(_tables(document, "rules")):
        for key, table in (("model", "models"), ("to", "destinations"), ("callers", "callers")):
            used = rule.get(key, [])
            for name in [used] if isinstance(used, str) else used if isinstance(used, list) else []:
                if name not in names[table] and not (key == "callers" and name == FOLDER_CALLER):
                    known = ", ".join(map(str, names[table])) or "none"
                    yield f"rules[{number}].{key}: {name!r} is not among the {table} ({known})"
    for number, destination in enumerate(_tables(document, "destinations")):
        if ("user" in destination) != ("password_file" in destination):
            yield f"destinations[{number}]: user and password_file go together"


def _tables(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    entries = document.get(key, [])
    if not isinstance(entries, list):
        return []
    return [entry for entry in entries if isinstance(entry, dict)]
