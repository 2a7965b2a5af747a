"""The repository: whether every file is what was published, before and after."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from infmap_kit.errors import InfmapError
from infmap_kit.model.files import sha256_of
from infmap_kit.site_acceptance.line import AcceptanceLine, judged
from infmap_kit.site_acceptance.site import Site
from infmap_kit.triton.repository import check_repository


def check_files(site: Site) -> Iterator[AcceptanceLine]:
    """Compare every file with the manifest."""
    expected = "every file has the SHA-256 that the manifest names, and there is no other"
    try:
        manifest = check_repository(site.copy)
    except InfmapError as error:
        yield judged("files", expected, str(error), good=False)
        return
    found = (
        f"all {len(manifest.files)} files of release {manifest.release} are so; the manifest's seal is "
        f"{manifest.seal[:16]}"
    )
    yield judged("files", expected, found, good=True)
    gate = manifest.gate
    proved = bool(gate.get("passed"))
    found = (
        f"proved over {gate['pictures']} pictures, Dice {gate['dice']:.5f}, {gate['flips']} detections changed"
        if proved
        else "the manifest does not say that the engine was proved"
    )
    yield judged("gate of the publication", "passed", found, good=proved)


def fingerprint(repository: Path) -> str:
    """SHA-256 over the name and content of everything in a repository and in what is archived beside it."""
    digest = hashlib.sha256()
    for folder in (repository, repository.with_name(f".{repository.name}.releases")):
        for path in sorted(folder.rglob("*")):
            digest.update(path.relative_to(folder.parent).as_posix().encode("utf-8", "replace"))
            if path.is_file() and not path.is_symlink():
                digest.update(sha256_of(path).encode())
    return digest.hexdigest()


def untouched(repository: Path, before: str) -> AcceptanceLine:
    """Check that the repository that was given is as it was."""
    after = fingerprint(repository)
    expected = f"as before: SHA-256 of all its files {before[:16]}"
    found = f"SHA-256 of all its files {after[:16]}"
    return judged("repository untouched", expected, found, good=after == before)
