"""`infmap-kit install`: from a bundle to a release, built for and proved on this very host."""

from __future__ import annotations

from pathlib import Path

from infmap_kit.gate.comparison import GateReport
from infmap_kit.gate.report import Evidence
from infmap_kit.model.files import sha256_of
from infmap_kit.progress import Progress, no_progress
from infmap_kit.release.bundle import read_bundle
from infmap_kit.release.export import publish
from infmap_kit.release.signature import fingerprint, verifier
from infmap_kit.targets.registry import find
from infmap_kit.targets.target import TargetOptions
from infmap_kit.triton.repository import Manifest


def install_bundle(
    path: Path,
    repository: Path,
    options: TargetOptions,
    *,
    public_key: Path | None = None,
    evidence: Evidence | None = None,
    progress: Progress = no_progress,
) -> tuple[Manifest, GateReport]:
    """Publish what a bundle holds as the next release.

    Parameters
    ----------
    path
        The bundle.
    public_key
        The key that it must be signed with; without one, no signature is asked for.
    repository, options, evidence, progress
        As :func:`~infmap_kit.release.export.publish` takes them.

    Raises
    ------
    BundleError
        When it is damaged, altered, or not signed by that key. Nothing of it was used.
    GateFailed
        When the engine that was built here does not decide as the trained network did there.
    HostMismatch
        When this host cannot build or run what was asked for.
    """
    find(options.target).require_host()
    progress("checking the bundle", 0, 1)
    verify = verifier(public_key) if public_key is not None else lambda *_: None
    bundle = read_bundle(path, verify=verify)
    origin = {"sha256": sha256_of(path), "made_with": bundle.record["made_with"]}
    if public_key is not None:
        origin["signed_by"] = fingerprint(public_key)
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
