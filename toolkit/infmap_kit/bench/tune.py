"""Threads, instances and streams, chosen by measurement on the machine that serves."""

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
    """The figure that a choice of settings aims at."""

    LATENCY = "latency"
    THROUGHPUT = "throughput"


CLIENTS = (1, 2, 4, 8, 16)
"""Clients that ask at the same time, for each point of a setting's curve."""

_NOISE = 0.03
"""Share of a throughput below which more of it is taken for none."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoadPoint:
    """Throughput and latency of the served ensemble with a number of clients, each sending single pictures.

    Parameters
    ----------
    clients
        Clients that ask at the same time.
    images_per_s
        Pictures that were answered in a second.
    p50_ms, p99_ms
        Latency of their requests; of a request at rest with a single client alone.
    """

    clients: int
    images_per_s: float
    p50_ms: float
    p99_ms: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """The measurement of a setting: latency against throughput.

    Parameters
    ----------
    setting
        The setting.
    curve
        Points in rising order of the number of clients, beginning with one.
    """

    setting: Setting
    curve: tuple[LoadPoint, ...]

    @property
    def p50_ms(self) -> float:
        """Median latency with a single client."""
        return self.curve[0].p50_ms

    @property
    def full(self) -> LoadPoint:
        """The fewest clients that get the highest throughput, within 3 %: more would only wait."""
        most = max(point.images_per_s for point in self.curve)
        return next(p for p in self.curve if p.images_per_s >= (1 - _NOISE) * most)

    def as_json(self) -> dict[str, Any]:
        """The measurement for a manifest."""
        return {
            "setting": dataclasses.asdict(self.setting),
            "curve": [dataclasses.asdict(point) for point in self.curve],
            "full": dataclasses.asdict(self.full),
        }


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
    """The trial with the least latency, or with the highest throughput.

    Of throughputs within 3 % of the highest, that one is taken whose slowest requests (p99) are the quickest.
    """
    if goal is Goal.LATENCY:
        return min(trials, key=lambda trial: trial.p50_ms)
    most = max(trial.full.images_per_s for trial in trials)
    near = (trial for trial in trials if trial.full.images_per_s >= (1 - _NOISE) * most)
    return min(near, key=lambda trial: trial.full.p99_ms)


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
    """Try threads, instances and streams, and publish the repository anew with the best.

    The same engine is published in another setting; it passes the gate again, through its server.

    Parameters
    ----------
    repository
        The repository; its release is archived, so that `infmap-kit rollback` goes back.
    goal
        The goal of the choice.
    seconds
        Seconds that each point of each setting's curve is measured.
    pictures
        Pictures of the gate; synthetic ones, when they are not given.
    settings
        Settings to try; by default those that fit this machine's cores.
    serve
        Function that starts a server for each setting.

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
            "trials": [trial.as_json() for trial in trials],
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

    def point(clients: int) -> LoadPoint:
        samples, took = ask_repeatedly(
            url, lambda client: client.infer(picture, picture), clients=clients, seconds=seconds
        )
        latencies = Latencies(tuple(samples))
        return LoadPoint(
            clients=clients,
            images_per_s=round(len(samples) / took, 3),
            p50_ms=round(latencies.p50_ms, 3),
            p99_ms=round(latencies.quantile_ms(0.99), 3),
        )

    return Trial(setting=setting, curve=tuple(point(clients) for clients in CLIENTS))


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
    """A table with a row for each setting."""
    rows = [
        (
            str(trial.setting.instances),
            str(trial.setting.streams),
            str(trial.setting.threads),
            f"{trial.p50_ms:.2f}",
            f"{trial.full.images_per_s:.1f}",
            str(trial.full.clients),
            f"{trial.full.p99_ms:.2f}",
        )
        for trial in trials
    ]
    columns = ("instances", "streams", "threads", "p50 ms, alone", "images a second", "clients")
    return Table("", (*columns, "p99 ms then"), rows)
