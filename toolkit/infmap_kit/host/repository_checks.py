"""Checks of the repository: its files, its gate, the libraries that it was proved with, its permissions."""

from __future__ import annotations

import importlib.util
import os
import stat
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from infmap_kit.errors import InfmapError
from infmap_kit.release.signature import configured_key, fingerprint
from infmap_kit.targets.check import HostCheck, as_sentence, ok, problem, skipped, warning
from infmap_kit.targets.target import Target
from infmap_kit.triton.repository import Manifest, check_repository


def repository(repository: Path, manifest: Manifest | None) -> Iterator[HostCheck]:
    """Check whether every file of the release is there, and the engine was proved."""
    try:
        check_repository(repository)
    except InfmapError as error:
        yield problem("repository", as_sentence(error), "Export or install again.")
        return
    if manifest is None:
        return
    yield ok(
        "repository",
        f"Release {manifest.release} is whole: {len(manifest.files)} files have the hashes of its manifest.",
    )
    if manifest.gate.get("passed"):
        yield ok(
            "gate",
            f"It was proved over {manifest.gate['pictures']} pictures: Dice {manifest.gate['dice']:.5f}, "
            f"{manifest.gate['flips']} detections changed.",
        )
    else:
        yield warning(
            "gate",
            "The manifest does not say that this engine was proved.",
            "Prove it: `infmap-kit verify RUN`.",
        )


def libraries(target: Target | None, manifest: Manifest | None) -> Iterator[HostCheck]:
    """Check whether the libraries are those that the engine was proved with."""
    if target is None or manifest is None:
        return
    for name in target.libraries:
        built = manifest.built_with.get(name)
        if importlib.util.find_spec(name) is None:
            yield problem(
                name,
                f"{name} is not installed, and the repository's engines run on it.",
                "pip install 'infmap-kit[embedded]'",
            )
            continue
        try:
            present = version(name)
        except PackageNotFoundError:
            present = "unknown"
        if built and built != present:
            yield warning(
                name,
                f"{name} is {present}, and the engine was proved with {built}.",
                "Prove it again: `infmap-kit verify RUN`, or install the bundle again.",
            )
        else:
            yield ok(name, f"{name} {present} is what the engine was proved with.")


def permissions(repository: Path) -> Iterator[HostCheck]:
    """Check whether this user may serve and publish, and strangers may not write."""
    parent = repository.absolute().parent
    if not repository.is_dir():
        return
    if not os.access(repository, os.R_OK | os.X_OK):
        yield problem(
            "permissions", f"{repository} cannot be read by this user.", "Give it read permission."
        )
    elif repository.stat().st_mode & stat.S_IWOTH:
        yield warning(
            "permissions",
            f"Everybody on this machine may write to {repository}.",
            f"chmod o-w {repository}",
        )
    elif not os.access(parent, os.W_OK):
        yield warning(
            "permissions",
            f"This user may serve {repository} and not publish: {parent} cannot be written.",
            "Publish as the folder's owner.",
        )
    else:
        yield ok("permissions", "This user may serve and publish, and strangers may not write.")


def signing_key() -> Iterator[HostCheck]:
    """Check whether bundles must be signed, and by whom."""
    key = configured_key()
    if key is None:
        yield skipped(
            "bundle key",
            "No public key is configured: install takes a bundle with --unsigned, whoever made it.",
        )
        return
    try:
        yield ok("bundle key", f"Only bundles signed by {fingerprint(key)} are installed.")
    except InfmapError as error:
        yield problem("bundle key", as_sentence(error), "Put the right key there.")
