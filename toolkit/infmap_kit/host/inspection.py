"""`infmap-kit inspect`: what a run, a bundle or a repository is, read from its files alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infmap_kit.errors import InfmapError, SpecError
from infmap_kit.model.run_folder import SPEC, RunFolder
from infmap_kit.model.spec import ModelSpec
from infmap_kit.release.archive import is_archive
from infmap_kit.release.contents import read_contents
from infmap_kit.triton.releases import releases_of
from infmap_kit.triton.repository import MANIFEST, Manifest, check_repository


def inspect(path: Path) -> dict[str, Any]:
    """Describe what a path holds, without a GPU, a server, a network, or the packages that would run it.

    Parameters
    ----------
    path
        A run folder, a bundle, or a repository.

    Returns
    -------
    dict
        ``kind`` and its details; ``whole`` is whether every file has its hash, and ``fault`` what is wrong
        when not.

    Raises
    ------
    SpecError
        When it is none of these, or its record is damaged.
    """
    if (path / MANIFEST).is_file():
        return _repository(path)
    if (run := RunFolder(path)).exists:
        return _run(run)
    if path.is_file() and is_archive(path):
        return _bundle(path)
    state = "is none" if path.exists() else "does not exist"
    raise SpecError(
        f"expected a run folder ({SPEC}), a repository ({MANIFEST}), a bundle or a DICOM file: {path} {state}"
    )


def _run(run: RunFolder) -> dict[str, Any]:
    spec, fault = run.spec, ""
    for name, digest in spec.files.items():
        if not (run.path / name).is_file():
            fault = f"{name} is missing"
        elif run.sha256(name) != digest:
            fault = f"{name} is not the file that {SPEC} names"
    return {"kind": "run", **_integrity(fault), **_model(spec), "files": spec.files}


def _bundle(path: Path) -> dict[str, Any]:
    contents = read_contents(path)
    record = contents.record.as_document()
    return {
        "kind": "bundle",
        **_integrity(""),
        **_model(contents.spec),
        **{key: record[key] for key in ("made_with", "pictures")},
        "signed": contents.signed,
        **{
            key: record[key]
            for key in ("onnx_sha256", "temperature", *contents.record.parts, "files")
            if key in record
        },
    }


def _repository(path: Path) -> dict[str, Any]:
    manifest = Manifest.read(path)
    fault = ""
    try:
        check_repository(path)
    except InfmapError as error:
        fault = str(error)
    return {
        "kind": "repository",
        **_integrity(fault),
        **_fields(manifest, "release", "published", "target", "precision"),
        **_fields(manifest, "model", "gate", "built_with"),
        "history": [
            {
                "release": release.manifest.release,
                "current": release.current,
                "version": release.manifest.model.get("version"),
                **_fields(release.manifest, "precision", "published"),
            }
            for release in releases_of(path)
        ],
        "files": manifest.files,
    }


def _integrity(fault: str) -> dict[str, Any]:
    return {"whole": not fault, **({"fault": fault} if fault else {})}


def _model(spec: ModelSpec) -> dict[str, Any]:
    return {
        **_fields(spec, "name", "version"),
        "network": spec.network.label,
        **_fields(spec, "data_licence", "dataset_fingerprint", "training", "metrics"),
    }


def _fields(record: ModelSpec | Manifest, *names: str) -> dict[str, Any]:
    return {name: getattr(record, name) for name in names}


def inspection_lines(document: Mapping[str, Any], *, indent: str = "") -> list[str]:
    """The details of a path as indented lines; hashes of single files are left to --json."""
    lines = []
    for key, value in document.items():
        label = f"{indent}{key.replace('_', ' ')}"
        if key == "files":
            lines.append(f"{label}: {len(value)}")
        elif key == "history":
            lines.append(f"{label}:")
            lines += [f"{indent}  {_release_line(release)}" for release in value]
        elif isinstance(value, Mapping) and not any(
            isinstance(inner, Mapping) for inner in value.values()
        ):
            shown = (f"{name.replace('_', ' ')} {_shown(inner)}" for name, inner in value.items())
            lines.append(f"{label}: {', '.join(shown)}")
        elif isinstance(value, Mapping):
            lines.append(f"{label}:")
            lines += inspection_lines(value, indent=f"{indent}  ")
        elif value not in (None, "", [], ()):
            lines.append(f"{label}: {_shown(value)}")
    return lines


def _release_line(release: Mapping[str, Any]) -> str:
    served = ["served"] if release["current"] else []
    details = [str(release[key]) for key in ("version", "precision", "published")] + served
    return f"{release['release']}: {', '.join(details)}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    return str(value)
