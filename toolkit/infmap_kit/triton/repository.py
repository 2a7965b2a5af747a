"""Triton model repositories: what they hold, and whether they still hold just that."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import hashlib
import json
import math
import platform
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Self

import infmap_kit
from infmap_kit.errors import SpecError
from infmap_kit.model.files import read_json, sha256_of, write_json
from infmap_kit.model.identity import is_network
from infmap_kit.model.paint import Paint
from infmap_kit.model.spec import IMAGE_SIZE, LARGEST_IMAGE_SIZE, LONGEST_NAME
from infmap_kit.model.tensors import SUMMARY
from infmap_kit.model.typed import require_files, require_text, typed
from infmap_kit.parts.contract import Contract

MANIFEST = "manifest.json"
_SCHEMA = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """``manifest.json``: the contents and the origin of a repository.

    Parameters
    ----------
    target, precision
        Target that the engines are made for, and precision that they compute in.
    model
        Name, version, network and provenance of the trained model.
    files
        Path below the repository to SHA-256, of every file but the manifest.
    built_with
        Versions of the programs that made it, and under ``confinement`` what kept the model's computing apart
        from the rest of the machine meanwhile.
    release
        Counted up with each publication; also the number of Triton's version folders, so that every
        answer says which release it is of.
    published
        UTC, ISO 8601.
    gate
        Measurements of the equivalence gate.
    seal
        SHA-256 of all of this, so that no manifest is edited by mistake.
    """

    target: str
    precision: str
    model: dict[str, Any]
    files: dict[str, str]
    built_with: dict[str, str]
    release: int = 1
    published: str = ""
    gate: dict[str, Any] = dataclasses.field(default_factory=dict)
    schema: int = _SCHEMA
    seal: str = ""

    def __post_init__(self) -> None:
        for key in ("target", "precision", "published"):
            require_text(key, getattr(self, key), LONGEST_NAME, empty=True)
        require_files(self.files)
        named = {part: one for part, one in self.model.items() if is_network(one)}
        for part, one in {"": self.model, **named}.items():
            typed(_Network, one, f"model {part}".rstrip(), others=True)
        if self.gate.get("passed"):
            typed(_PassedGate, self.gate, "gate", others=True)

    @classmethod
    def read(cls, repository: Path) -> Self:
        """Read a repository's manifest.

        Raises
        ------
        SpecError
            When there is none, or it is damaged or of a newer kind.
        """
        path = repository / MANIFEST
        if not path.is_file():
            raise SpecError(f"{repository} has no {MANIFEST}: fill it with `infmap-kit export`")
        document = read_json(path)
        if document.get("schema") != _SCHEMA:
            raise SpecError(
                f"expected {path} of schema {_SCHEMA}, found {document.get('schema')!r:.20}: "
                "export again with this version"
            )
        manifest = typed(cls, document, f"{path} is not a manifest, export again")
        if manifest.seal != manifest.digest():
            raise SpecError(f"{path} was altered since it was published: export again")
        return manifest

    def digest(self) -> str:
        """SHA-256 of everything but the seal."""
        document = dataclasses.asdict(dataclasses.replace(self, seal=""))
        text = json.dumps(document, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Network:
    """A manifest's record of a network; the rest of the manifest is shown, and nothing is computed of it."""

    name: str = ""
    version: str = ""
    onnx_sha256: str = ""
    temperature: float = 1.0
    finding: dict[str, str] = dataclasses.field(default_factory=dict)
    network: dict[str, Any] | None = None
    image_size: int = IMAGE_SIZE
    adapter: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        require_text("name", self.name, LONGEST_NAME, empty=True)
        require_text("version", self.version, LONGEST_NAME, empty=True)
        if not 0 < self.image_size <= LARGEST_IMAGE_SIZE:
            raise SpecError(
                f"image_size: expected 1 to {LARGEST_IMAGE_SIZE}, found {self.image_size}"
            )
        if not 0 < self.temperature < math.inf:
            raise SpecError(f"temperature: expected a number above 0, found {self.temperature}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _PassedGate:
    """The figures that are shown of a gate that was passed."""

    pictures: int
    dice: float
    flips: int


def versions(*packages: str) -> dict[str, str]:
    """Installed versions of ``packages``, of Python and of infmap-kit."""
    from importlib.metadata import PackageNotFoundError, version

    installed = {"infmap-kit": infmap_kit.__version__, "python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            installed[package] = version(package)
    return installed


def served_contract(manifest: Manifest) -> Contract:
    """The contract that follows from the parts and graphs of a repository, and the size and paint it states."""
    model = manifest.model
    paint = Paint.from_parameters(model.get("paint", {}))
    files = [PurePosixPath(name) for name in manifest.files]
    # A model of its own, or a file beside the runner.
    summary = {SUMMARY.name} & {name for file in files for name in (*file.parts[:1], file.stem)}
    return Contract.of({*model, *summary}, model.get("image_size", IMAGE_SIZE), paint)


def version_folder(repository: Path, model: str, release: int) -> Path:
    """The folder of a model's files of a release."""
    return repository / model / str(release)


def check_repository(repository: Path) -> Manifest:
    """Compare every file of a repository with its manifest.

    Raises
    ------
    SpecError
        Naming the file that was altered, is missing, is a link or a pipe, or is not in the manifest, or an
        empty folder.
    """
    manifest = Manifest.read(repository)
    for name in sorted(manifest.files):
        if not (repository / name).exists():
            raise SpecError(f"{repository} lacks {name}: export again")
    for name in sorted(set(files_of(repository)) - set(manifest.files)):
        raise SpecError(
            f"{repository} holds {name}, which its manifest does not name: export again"
        )
    check_files(repository, manifest)
    return manifest


def check_files(repository: Path, manifest: Manifest) -> None:
    """Compare the files that a manifest names with their hashes.

    Raises
    ------
    SpecError
        Naming the file that is another one, or that cannot be read.
    """
    for name, digest in sorted(manifest.files.items()):
        if sha256_of(repository / name) != digest:
            raise SpecError(
                f"{repository / name} is not what was exported (SHA-256 differs): export again"
            )


def write_manifest(
    folder: Path,
    *,
    target: str,
    precision: str,
    model: Mapping[str, Any],
    built_with: Mapping[str, str],
    release: int = 1,
    gate: Mapping[str, Any] | None = None,
) -> Manifest:
    """Hash everything in ``folder`` and write its manifest."""
    manifest = Manifest(
        target=target,
        precision=precision,
        model=dict(model),
        files={name: sha256_of(folder / name) for name in sorted(files_of(folder))},
        built_with=dict(built_with),
        release=release,
        published=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        gate=dict(gate or {}),
    )
    sealed = dataclasses.replace(manifest, seal=manifest.digest())
    write_json(folder / MANIFEST, dataclasses.asdict(sealed))
    return sealed


def files_of(repository: Path, *, with_manifest: bool = False) -> Iterator[str]:
    """Names below ``repository`` of every file in it, without the manifest unless that is asked for.

    Raises
    ------
    SpecError
        For a link, whose target the manifest cannot vouch for; for whatever else is no file, such as a pipe;
        and for an empty folder, which Triton takes for a model or a version.
    """
    for path in sorted(repository.rglob("*")):
        name = path.relative_to(repository).as_posix()
        if path.is_symlink():
            raise SpecError(
                f"{path} is a link, and a repository holds plain files only: export again"
            )
        if path.is_dir():
            if not any(path.iterdir()):
                raise SpecError(f"{path} is an empty folder, which no export made: take it away")
        elif not path.is_file():
            raise SpecError(
                f"{path} is neither file nor folder, and no export made it: take it away"
            )
        elif with_manifest or name != MANIFEST:
            yield name


def remove_bytecode(repository: Path) -> list[Path]:
    """Take away the bytecode that servers of before left beside the runner; returns the folders.

    Python prefers it to the source, whose hash the manifest names. What cannot be taken away is refused when
    the repository is checked.
    """
    folders = [p for p in repository.rglob("__pycache__") if p.is_dir() and not p.is_symlink()]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
    return [folder for folder in folders if not folder.exists()]
