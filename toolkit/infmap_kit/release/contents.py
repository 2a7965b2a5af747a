"""What a bundle says of itself, read without anything that computes."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infmap_kit.errors import BundleError
from infmap_kit.model.files import parse_json
from infmap_kit.model.run_folder import SPEC
from infmap_kit.model.spec import ModelSpec
from infmap_kit.release.archive import Verify, read_archive

BUNDLE = "bundle.json"
SCHEMA = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contents:
    """A bundle's files, each of them the one that it names.

    Parameters
    ----------
    files
        Name to content.
    record
        ``bundle.json``.
    spec
        The hand-over record of the model's training.
    signed
        Whether it bears a signature.
    """

    files: dict[str, bytes]
    record: dict[str, Any]
    spec: ModelSpec
    signed: bool


def read_contents(path: Path, *, verify: Verify = lambda *_: None) -> Contents:
    """Check every file of a bundle and its signature.

    Raises
    ------
    BundleError
        When it is damaged, altered, not signed as it must be, or of a newer kind.
    """
    archive = read_archive(path, verify=verify)
    record = _record(path, archive.files)
    spec = read_spec(path, archive.files, SPEC)
    return Contents(files=archive.files, record=record, spec=spec, signed=archive.signed)


def read_spec(path: Path, files: Mapping[str, bytes], name: str) -> ModelSpec:
    """A hand-over record among the files of a bundle.

    Raises
    ------
    BundleError
        When it is missing or damaged.
    """
    try:
        return ModelSpec.of(parse_json(files[name]), f"{name} in {path}")
    except (KeyError, ValueError, AttributeError) as error:
        raise BundleError(f"{path} has no readable {name}: bundle the run again") from error


def _record(path: Path, files: Mapping[str, bytes]) -> dict[str, Any]:
    """``bundle.json``, once every file is the one that it names."""
    try:
        record = parse_json(files[BUNDLE])
        named, schema = dict(record["files"]), record["schema"]
        pictures = record["pictures"]
    except (KeyError, ValueError, TypeError) as error:
        raise BundleError(f"{path} is an archive of ours, and no bundle: {error!r}") from error
    if schema != SCHEMA:
        raise BundleError(
            f"expected a bundle of schema {SCHEMA} in {path}, found {schema!r}: "
            "install a fitting version of infmap-kit"
        )
    if not isinstance(pictures, int):
        raise BundleError(f"{path} does not say how many pictures it holds")
    for name in sorted(named.keys() ^ (files.keys() - {BUNDLE})):
        raise BundleError(f"{path} holds other files than {BUNDLE} names: {name}")
    for name, digest in named.items():
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise BundleError(f"{name} in {path} is not the file that {BUNDLE} names")
    result: dict[str, Any] = record
    return result
