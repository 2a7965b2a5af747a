"""Threads and instances, chosen by measurement on the machine that serves."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.bench.load import ask_repeatedly
from infmap_kit.bench.statistics import Latencies
from infmap_kit.errors import SpecError
from infmap_kit.gate.bounds import thresholds_for
from infmap_kit.gate.comparison import compare
from infmap_kit.gate.pictures import Pictures, synthetic_pictures
from infmap_kit.gate.runners import ServedRunner
from infmap_kit.progress import Progress, no_progress
from infmap_kit.release.verify import repository_reference
from infmap_kit.report.table import Table
from infmap_kit.serving.server import Serve, served_here, warm_up
from infmap_kit.targets.registry import find
from infmap_kit.targets.target import Setting, Target
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.releases import publishing
from infmap_kit.triton.repository import (
    Manifest,
    check_repository,
    served_contract,
    write_manifest,
)


class Goal(enum.StrEnum):
    """The goal of a choice."""

    LATENCY = "latency"
    THROUGHPUT = "throughput"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """The measurement of a setting.

    Parameters
    ----------
    setting
        The setting.
    p50_ms
        Median latency of the served ensemble with a single client.
    images_per_s
        Throughput with two clients for each instance.
    """

    setting: Setting
    p50_ms: float
    images_per_s: float


def parse_goal(text: str) -> Goal:
    """Read ``latency`` or ``throughput``.

    Raises
    ------
    SpecError
        For anything else.
    """
    if text not in tuple(Goal):
        raise SpecError(f"expected --for to be one of {', '.join(Goal)}, found {text!r}")
    return Goal(text)


def best(trials: Sequence[Trial], goal: Goal) -> Trial:
    """The trial with the least latency, or with the highest throughput."""
    if goal is Goal.LATENCY:
        return min(trials, key=lambda trial: trial.p50_ms)
    return max(trials, key=lambda trial: trial.images_per_s)


def tune(
    repository: Path,
    *,
    goal: Goal = Goal.LATENCY,
    seconds: float = 5.0,
    pictures: Pictures | None = None,
    settings: Sequence[Setting] | None = None,
    serve: Serve = served_here,
    progress: Progress = no_progress,
) -> tuple[Manifest, list[Trial]]:
    """Try threads and instances, and publish the repository anew with the best.

    The same engine is published in another setting; it passes the gate again, through its server.

    Parameters
    ----------
    repository
        The repository; its release is archived, so that `infmap-kit rollback` goes back.
    goal
        The goal of the choice.
    seconds
        Half the time that each setting is measured: alone, and with several clients.
    pictures
        Pictures of the gate; synthetic ones, when they are not given.
    settings
        Settings to try; by default those that fit this machine's cores.
    serve
        What serves each of them.

    Raises
    ------
    HostMismatch
        When there is no server here that has the repository's backend, or its engines do not run here.
    SpecError
        For a setting that the target does not have.
    GateFailed
        When the engine decides otherwise in its new setting; nothing is published.
    """
    manifest = check_repository(repository)
    target, image_size = find(manifest.target), served_contract(manifest).image_size
    candidates = list(settings or target.settings(manifest, len(os.sched_getaffinity(0))))
    trials = []
    for done, setting in enumerate(candidates):
        progress(str(setting), done, len(candidates))
        with (
            _changed(repository, target, setting) as folder,
            serve(folder) as server,
        ):
            trials.append(_trial(server.grpc_url, setting, seconds, image_size))
    chosen = best(trials, goal)
    proof = pictures if pictures is not None else synthetic_pictures(image_size)
    with publishing(repository) as draft:
        draft.take(repository, manifest.release)
        target.set(draft.folder, chosen.setting)
        reference = repository_reference(target.open(repository, manifest), manifest)
        thresholds = thresholds_for(manifest.precision)
        _seal(draft.folder, manifest, release=draft.release)
        progress("passing the gate again", 0, 1)
        with serve(draft.folder) as server, InfmapClient(server.grpc_url) as client:
            gate = compare(reference, ServedRunner(client), proof, thresholds=thresholds)
        gate.require()
        tuned: dict[str, Any] = {
            "goal": goal,
            "chosen": dataclasses.asdict(chosen.setting),
            "trials": [dataclasses.asdict(trial) for trial in trials],
        }
        published = _seal(
            draft.folder,
            manifest,
            release=draft.release,
            model={**manifest.model, "tuned": tuned},
            gate=gate.summary(),
        )
    return published, trials


def _seal(folder: Path, manifest: Manifest, **changes: Any) -> Manifest:
    """Write the manifest of what a folder holds now, the same but for changes."""
    fields = ("target", "precision", "model", "built_with", "release", "gate")
    kept: dict[str, Any] = {name: getattr(manifest, name) for name in fields}
    return write_manifest(folder, **(kept | changes))


def _trial(url: str, setting: Setting, seconds: float, image_size: int) -> Trial:
    warm_up(url)
    picture: NDArray[np.uint8] = synthetic_pictures(image_size)[0][1]

    def measure(clients: int) -> tuple[list[float], float]:
        return ask_repeatedly(
            url, lambda client: client.infer(picture, picture), clients=clients, seconds=seconds
        )

    alone, _ = measure(1)
    samples, took = measure(2 * setting.instances)
    return Trial(
        setting=setting,
        p50_ms=round(Latencies(tuple(alone)).p50_ms, 3),
        images_per_s=round(len(samples) / took, 3),
    )


@contextlib.contextmanager
def _changed(repository: Path, target: Target, setting: Setting) -> Iterator[Path]:
    """A copy of a repository with another setting, to try it out."""
    with tempfile.TemporaryDirectory(prefix="infmap-kit-") as scratch:
        folder = Path(scratch) / "model_repository"
        shutil.copytree(repository, folder)
        target.set(folder, setting)
        _seal(folder, Manifest.read(repository))
        yield folder


def trials_table(trials: Sequence[Trial]) -> Table:
    """One row a setting of threads and instances."""
    rows = [
        (
            str(trial.setting.instances),
            str(trial.setting.threads),
            f"{trial.p50_ms:.2f}",
            f"{trial.images_per_s:.1f}",
        )
        for trial in trials
    ]
    return Table("", ("instances", "threads", "p50 ms, one client", "images a second"), rows)
