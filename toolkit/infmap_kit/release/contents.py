"""The record of a bundle, read without running anything from it."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from infmap_kit.errors import BundleError, SpecError
from infmap_kit.model.files import parse_json
from infmap_kit.model.run_folder import SPEC
from infmap_kit.model.spec import LONGEST_NAME, ModelSpec
from infmap_kit.model.typed import require_digest, require_files, require_text, typed
from infmap_kit.parts.registry import optional_parts
from infmap_kit.release.archive import MAX_MEMBERS, Verify, read_archive

BUNDLE = "bundle.json"
SCHEMA = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class BundleRecord:
    """``bundle.json``.

    Parameters
    ----------
    schema
        Version of this record's schema.
    made_with
        The version that made it.
    name, version, onnx_sha256
        Name and version of the infection network, and the SHA-256 of its graph.
    pictures
        Number of the pictures that engines are proved on.
    files
        Name to SHA-256 of every other file.
    temperature
        Divides the logits, where the network is calibrated.
    parts
        Identities of the networks that are served beside, by the parts' names; in JSON beside the other keys.
    """

    schema: int
    made_with: str
    name: str
    version: str
    onnx_sha256: str
    pictures: int
    files: dict[str, str]
    temperature: float | None = None
    parts: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in ("made_with", "name", "version"):
            require_text(key, getattr(self, key), LONGEST_NAME)
        require_digest("onnx_sha256", self.onnx_sha256)
        require_files(self.files)
        if not 1 <= self.pictures <= MAX_MEMBERS:
            raise SpecError(f"pictures: expected 1 to {MAX_MEMBERS}, found {self.pictures}")
        if self.temperature is not None and not 0 < self.temperature < math.inf:
            raise SpecError(f"temperature: expected a number above 0, found {self.temperature}")

    @classmethod
    def of(cls, document: object, where: str) -> Self:
        """The record of a JSON object, which errors name as ``where``.

        Raises
        ------
        SpecError
            Naming the field that is missing, of another type, or out of its range.
        """
        if not isinstance(document, dict):
            raise SpecError(f"{where}: expected an object")
        names = [part.name for part in optional_parts() if part.name in document]
        own = {key: value for key, value in document.items() if key not in names}
        return typed(cls, {**own, "parts": {name: document[name] for name in names}}, where)

    def as_document(self) -> dict[str, Any]:
        """Return the record as ``bundle.json`` holds it."""
        document = dataclasses.asdict(self)
        files, temperature, parts = (document.pop(k) for k in ("files", "temperature", "parts"))
        calibrated = {} if temperature is None else {"temperature": temperature}
        return {**document, **calibrated, **parts, "files": files}


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
    record: BundleRecord
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
    except KeyError as error:
        raise BundleError(f"{path} has no {name}: bundle the run again") from error
    except ValueError as error:
        raise BundleError(f"{name} in {path} is not JSON: {error}") from error
    except SpecError as error:
        raise BundleError(f"{error}: bundle the run again") from error


def _record(path: Path, files: Mapping[str, bytes]) -> BundleRecord:
    """``bundle.json``, once every file is the one that it names."""
    try:
        document = parse_json(files[BUNDLE])
        schema = document.get("schema") if isinstance(document, dict) else None
        if isinstance(schema, int) and schema != SCHEMA:
            raise BundleError(
                f"expected a bundle of schema {SCHEMA} in {path}, found {schema!r:.20}: "
                "install a fitting version of infmap-kit"
            )
        record = BundleRecord.of(document, BUNDLE)
    except KeyError as error:
        raise BundleError(
            f"expected {BUNDLE} in {path}, found none: name a file that `infmap-kit bundle` wrote"
        ) from error
    except (SpecError, ValueError) as error:
        raise BundleError(f"{path} is no bundle: {error}; bundle the run again") from error
    for name in sorted(record.files.keys() ^ (files.keys() - {BUNDLE})):
        raise BundleError(
            f"{path} holds other files than {BUNDLE} names ({name}): bundle the run again"
        )
    for name, digest in record.files.items():
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise BundleError(
                f"{name} in {path} is not the file that {BUNDLE} names (SHA-256 differs): bundle the run again"
            )
    return record
