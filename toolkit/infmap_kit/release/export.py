"""From a network and the options of a target to a proved release."""

from __future__ import annotations

from pathlib import Path

from infmap_kit.gate.comparison import GateReport
from infmap_kit.gate.pictures import Pictures
from infmap_kit.gate.report import Evidence
from infmap_kit.gate.runners import CachingRunner, Runner
from infmap_kit.progress import Progress, no_progress
from infmap_kit.release.publish import graphs_of, publish_build, reference_runner
from infmap_kit.release.source import Source
from infmap_kit.targets.registry import find
from infmap_kit.targets.target import Build, Proof, TargetOptions
from infmap_kit.triton.releases import Draft
from infmap_kit.triton.repository import Manifest


def publish(
    source: Source,
    repository: Path,
    options: TargetOptions,
    *,
    pictures: Pictures,
    reference: Runner | None = None,
    evidence: Evidence | None = None,
    progress: Progress = no_progress,
) -> tuple[Manifest, GateReport]:
    """Publish a network for the target that the options are of.

    Parameters, errors and what comes back are those of :func:`~infmap_kit.release.publish.publish_build`.
    """
    target = find(options.target)
    # A target that chooses between engines compares each of them.
    reference = CachingRunner(reference or reference_runner(source))
    proof = Proof(reference=reference, pictures=pictures)

    def build(network: Source, draft: Draft, told: Progress) -> Build:
        return target.build(options, graphs_of(network), draft=draft, proof=proof, progress=told)

    return publish_build(
        source,
        repository,
        build,
        pictures=pictures,
        reference=reference,
        evidence=evidence,
        progress=progress,
    )
