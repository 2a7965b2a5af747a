"""The node's TOML file: its sections and keys."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    IPvAnyNetwork,
    ValidationInfo,
)

from infmap_kit.results.words.words import ENGLISH, languages

FOLDER_CALLER = "FOLDER"
"""Caller of files in a watched folder, which come without an AE title."""

Output = Literal["sc", "seg", "sr", "gsps"]
"""Kinds of results, as in :class:`infmap_kit.results.dicom.results.ResultKind`."""


def _beside_the_file(path: Path, info: ValidationInfo) -> Path:
    if "\0" in str(path):
        raise ValueError("expected a path")
    folder = (info.context or {}).get("folder", Path())
    return Path(folder, path.expanduser())


def _that_exists(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


def _like(pattern: str, expected: str) -> Callable[[str], str]:
    """A check whose message is for people, and shows no pattern."""

    def check(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"expected {expected}")
        return text

    return check


# In one way alone: a pattern that can part a name in many tries them all for one that is none.
_LABELS = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_][A-Za-z0-9_-]{0,62}(\.[A-Za-z0-9_-]{1,63})*\.?")


def _language(text: str) -> str:
    if text not in languages():
        raise ValueError(f"expected one of {', '.join(languages())}")
    return text


def _host(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        # What ends in a number is an address for the whole world (RFC 3696), and this one is none.
        is_number = text.rpartition(".")[2].isdecimal()
        if is_number or not _LABELS.fullmatch(text):
            raise ValueError("expected a host's name or address") from None
    return text


def _host_and_port(text: str) -> str:
    host, _, port = text.rpartition(":")
    try:
        _host(host.removeprefix("[").removesuffix("]"))
        is_good = port.isdecimal() and 1 <= int(port) <= 65535
    except ValueError:
        is_good = False
    if not is_good:
        raise ValueError('expected "host:port" with a port from 1 to 65535, as in "127.0.0.1:8001"')
    return text


def _web_address(text: str) -> str:
    expected = 'expected "https://host:port/path", with a port from 1 to 65535 where there is one'
    try:
        url = urlsplit(text)
        is_good = url.scheme in ("http", "https") and url.port != 0 and not re.search(r"\s", text)
        _host(url.hostname or "")
    except ValueError:
        is_good = False
    if not is_good:
        raise ValueError(expected)
    return text


CaptureKind = Literal["beside", "map", "bare"]
"""Layout of a Secondary Capture, as in :class:`infmap_kit.results.sheet.sheet.Capture`."""

_Path = Annotated[Path, AfterValidator(_beside_the_file)]
_File = Annotated[_Path, AfterValidator(_that_exists)]
_Host = Annotated[str, AfterValidator(_host)]
_Language = Annotated[str, AfterValidator(_language)]
_Name = Annotated[
    str,
    AfterValidator(
        _like(
            r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}",
            "at most 64 letters, digits, dots, hyphens and underscores, a letter or digit first",
        )
    ),
]
# DICOM PS3.5, 6.2: up to 16 characters of the basic set, no backslash, not only spaces.
AETitle = Annotated[
    str,
    AfterValidator(str.strip),
    AfterValidator(_like(r"[ -\[\]-~]{1,16}", "1 to 16 plain characters without a backslash")),
]
_Port = Annotated[int, Field(ge=1, le=65535)]
# A day; what an operating system cannot wait for ends a delivery each time.
_Seconds = Annotated[float, Field(gt=0, le=86_400)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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
    host: _Host = "127.0.0.1"
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
    url: Annotated[str, AfterValidator(_host_and_port)] = "127.0.0.1:8001"


class _Destination(_Section):
    name: _Name
    timeout_s: _Seconds = 30.0
    max_send_s: _Seconds = 600.0
    max_wait_s: _Seconds = 60.0
    max_refusals: Annotated[int, Field(ge=1)] = 8
    give_up_after_h: Annotated[float, Field(gt=0)] = 168.0


class CStoreDestination(_Destination):
    """``[[destinations]]`` of kind ``c-store``."""

    kind: Literal["c-store"]
    host: _Host
    port: _Port
    ae_title: AETitle
    tls: ClientTls | None = None


class StowDestination(_Destination):
    """``[[destinations]]`` of kind ``stow-rs``; secrets stand in files of their own."""

    kind: Literal["stow-rs"]
    url: Annotated[str, AfterValidator(_web_address)]
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
    language: _Language = ENGLISH
    capture: CaptureKind = "beside"


class Retention(_Section):
    """``[retention]``: how long what is finished stays."""

    days: Annotated[float, Field(gt=0)] = 7.0
    max_gb: Annotated[float, Field(gt=0)] = 50.0


class StatusPage(_Section):
    """``[status]``: where the status page and the metrics are."""

    host: _Host = "127.0.0.1"
    port: _Port = 8088


class Audit(_Section):
    """``[audit]``: records of who received and sent what, without names."""

    to: Literal["file", "syslog", "off"] = "file"
    folder: _Path | None = None
    days: Annotated[int, Field(ge=1)] = 366
    syslog: _Path = Path("/dev/log")


class NodeConfig(_Section):
    """A node's TOML file, checked."""

    node: NodeSection
    limits: Limits = Limits()
    work: Work = Work()
    callers: Annotated[list[Caller], Field(min_length=1)]
    models: Annotated[list[Model], Field(min_length=1)]
    destinations: list[Destination] = []
    rules: Annotated[list[Rule], Field(min_length=1)]
    retention: Retention = Retention()
    status: StatusPage = StatusPage()
    audit: Audit = Audit()

    def model_url(self, name: str) -> str:
        """The gRPC endpoint of the model called ``name``."""
        return next(model.url for model in self.models if model.name == name)
