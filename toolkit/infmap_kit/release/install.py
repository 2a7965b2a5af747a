"""`infmap-kit install`: from a bundle to a release, built for and proved on this very host."""

from __future__ import annotations

from pathlib import Path

from infmap_kit.errors import BundleError
from infmap_kit.gate.comparison import GateReport
from infmap_kit.gate.report import Evidence
from infmap_kit.model.files import sha256_of
from infmap_kit.progress import Progress, no_progress
from infmap_kit.release.bundle import read_bundle
from infmap_kit.release.export import publish
from infmap_kit.release.signature import fingerprint, verifier
from infmap_kit.targets.registry import find
from infmap_kit.targets.target import TargetOptions
from infmap_kit.triton.releases import releases_of
from infmap_kit.triton.repository import Manifest

NOBODY = "nobody"
"""Stands in the record of a release for the key that signed its bundle, where none did."""


def install_bundle(
    path: Path,
    repository: Path,
    options: TargetOptions,
    *,
    public_key: Path | None = None,
    unsigned: bool = False,
    evidence: Evidence | None = None,
    progress: Progress = no_progress,
) -> tuple[Manifest, GateReport]:
    """Publish what a bundle holds as the next release.

    Parameters
    ----------
    path
        The bundle.
    public_key
        The key that it must be signed with.
    unsigned
        Whether a bundle is taken that no key vouches for. Without a key, this is asked for once in the life of
        a repository; with one, each time.
    repository, options, evidence, progress
        As :func:`~infmap_kit.release.export.publish` takes them.

    Raises
    ------
    BundleError
        When it is damaged, altered, not signed by that key, or nobody's and not asked for. Nothing of it was
        used.
    GateFailed
        When the engine that was built here does not decide as the trained network did there.
    HostMismatch
        When this host cannot build or run what was asked for.
    """
    find(options.target).require_host()
    progress("checking the bundle", 0, 1)
    signed_by: list[str] = []

    def verify(digest: bytes, signature: bytes | None) -> None:
        if public_key is not None and not (unsigned and signature is None):
            verifier(public_key)(digest, signature)
            signed_by.append(fingerprint(public_key))
        elif not unsigned and not _took_unsigned(repository):
            found = "is signed, but no key is configured here" if signature else "is not signed"
            raise BundleError(
                f"expected a bundle that a configured key has signed, found {path}, which {found}: name the "
                "key with --public-key, or install it all the same with --unsigned"
            )

    bundle = read_bundle(path, verify=verify)
    origin = {"sha256": sha256_of(path), "made_with": bundle.record.made_with}
    origin["signed_by"] = signed_by[0] if signed_by else NOBODY
    bundle.source.identity["bundle"] = origin
    return publish(
        bundle.source,
        repository,
        options,
        pictures=bundle.pictures,
        reference=bundle.reference,
        evidence=evidence,
        progress=progress,
    )


def _took_unsigned(repository: Path) -> bool:
    """Whether a release of a repository is from an unsigned bundle, which was allowed then."""
    origins = (release.manifest.model.get("bundle") for release in releases_of(repository))
    return any(isinstance(one, dict) and one.get("signed_by") == NOBODY for one in origins)
