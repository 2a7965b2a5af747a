"""Latency of one picture, in nested scopes that are measured in turn until they are stable.

A latency is the time of one request with one picture on a server at rest. A batch's time divided by its size is
a throughput turned upside down, and latencies under load have sections of their own
(:mod:`infmap_kit.bench.load`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from infmap_kit.bench.baselines.baseline import Baseline, baselines_of
from infmap_kit.bench.independent import measure_independently
from infmap_kit.bench.load import LoadOptions, closed_loop, limit_of, open_loop
from infmap_kit.bench.machine import describe_machine, loaded, stolen_ticks
from infmap_kit.bench.pictures import bench_pictures
from infmap_kit.bench.records.record import BenchRecord
from infmap_kit.bench.scopes import ENGINE_WITH_TRANSFERS, SERVED_ENSEMBLE
from infmap_kit.bench.statistics import BLOCK, Latencies, StabilityRule
from infmap_kit.bench.steps import ServerSteps
from infmap_kit.bench.subject import Subject, Timed
from infmap_kit.errors import InfmapError, MissingDependency, ServerError, SpecError, Unstable
from infmap_kit.progress import Progress, no_progress
from infmap_kit.serving.server import Serve, served_here
from infmap_kit.targets.registry import find
from infmap_kit.targets.target import OpenedModel
from infmap_kit.triton.repository import Manifest, check_repository, versions


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """The scopes of a measurement, and its length.

    Parameters
    ----------
    samples, tolerance_percent
        See :class:`~infmap_kit.bench.statistics.StabilityRule`.
    warm_up
        Requests of each scope before it is measured.
    budget_s
        Seconds after which scopes that are not stable are given up.
    baselines
        Whether ONNX Runtime and Keras are measured in the same run.
    load
        Throughput and open-loop load; ``None`` leaves them out.
    independent
        Whether ``perf_analyzer`` measures too, where it is installed.
    only
        Names of the scopes to measure; all when empty.
    """

    samples: int = 200
    warm_up: int = 20
    tolerance_percent: float = 5.0
    budget_s: float = 180.0
    baselines: bool = False
    load: LoadOptions | None = None
    independent: bool = True
    only: tuple[str, ...] = ()

    @property
    def rule(self) -> StabilityRule:
        """The rule by which a scope has been measured long enough."""
        return StabilityRule(samples=self.samples, tolerance_percent=self.tolerance_percent)


def measure(
    repository: Path,
    files: Sequence[Path],
    options: BenchOptions,
    *,
    beside: Path | None = None,
    serve: Serve = served_here,
    progress: Progress = no_progress,
) -> BenchRecord:
    """Serve a repository on free ports and measure it.

    A server that dies ends the measurement early; the record then holds what was measured until then, and why.

    Parameters
    ----------
    repository
        Published for any target whose engines and server run here.
    files
        Radiographs or folders of them; without any, synthetic JPEGs of a megapixel are made.
    options
        Scopes and length.
    beside
        Repository of another model whose network is measured in the same run.
    serve
        Function that starts the server.

    Raises what :meth:`Subject.served` raises, and ``InputRejected`` when a file is no suitable radiograph.
    """
    pictures = bench_pictures(files)
    other, described = _opened(beside)
    machine = describe_machine()
    begun, stolen = time.monotonic(), stolen_ticks()
    started = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    run = _Run(options=options, progress=progress)
    with contextlib.ExitStack() as stack:
        subject = stack.enter_context(Subject.served(repository, pictures, serve, other=other))
        baselines = stack.enter_context(_baselines(subject, options, run.not_measured))
        try:
            run.scopes(subject, baselines)
            run.load(subject)
        except InfmapError as error:
            run.failure = str(error)
    machine["load_after"] = round(os.getloadavg()[0], 2)
    machine["stolen_s"] = round((stolen_ticks() - stolen) / os.sysconf("SC_CLK_TCK"), 2)
    warnings = [sentence for sentence in (loaded(machine), subject.elsewhere) if sentence]
    # To the microsecond, as in the record's file, which then gives the same figures.
    latencies = {
        name: Latencies(tuple(round(ms, 3) for ms in values))
        for name, values in run.samples.items()
        if values
    }
    return BenchRecord(
        scopes=latencies,
        not_measured=run.not_measured,
        server=run.steps,
        cold_start=subject.cold_start,
        throughput=run.throughput,
        cores_limit=run.cores_limit,
        open_loop=run.open,
        independent=run.independent,
        model=subject.manifest.model,
        target=subject.manifest.target,
        precision=subject.manifest.precision,
        beside=described,
        inspected=dict(subject.model.inspected),
        accuracy=_accuracy(subject.manifest),
        pictures=[picture.description for picture in pictures],
        machine=machine,
        versions=versions("openvino", "onnxruntime", "tritonclient", "numpy")
        | {"triton": subject.triton},
        started=started,
        duration_s=round(time.monotonic() - begun, 1),
        rule=options.rule.sentence,
        doubts={
            name: doubt
            for name, latency in latencies.items()
            if (doubt := options.rule.doubt(latency))
        },
        warnings=warnings,
        failure=run.failure,
        options=dataclasses.asdict(options),
    )


def require_settled(record: BenchRecord) -> None:
    """Refuse a record whose figures are not sure; it is written before.

    Raises
    ------
    ServerError
        When the measurement ended early.
    Unstable
        When a ratio by which it is judged is not sure, or without any ratio a scope.
    """
    if record.failure:
        raise ServerError(f"the measurement ended early: {record.failure}")
    if unsettled := record.unsettled:
        name, why = next(iter(unsettled.items()))
        what = f"{len(record.ratios)} ratios" if record.ratios else f"{len(record.scopes)} scopes"
        raise Unstable(
            f"{len(unsettled)} of {what} did not settle, such as {name}: {why}; let "
            "the machine rest, or allow more with --budget or --tolerance"
        )


def _accuracy(manifest: Manifest) -> dict[str, Any]:
    """The gate of this very engine, and the held-back metrics of its network."""
    metrics = manifest.model.get("metrics") or {}
    held_back = {
        f"{group} F1": metrics[group]["f1"]
        for group in ("pixels", "detection")
        if "f1" in metrics.get(group, {})
    }
    return {"gate": manifest.gate, "held_back": held_back}


def _opened(repository: Path | None) -> tuple[OpenedModel | None, dict[str, str]]:
    """The model beside, opened in this process, and what the record says of it."""
    if repository is None:
        return None, {}
    manifest = check_repository(repository)
    described = {
        "name": str(manifest.model["name"]),
        "version": str(manifest.model["version"]),
        "target": manifest.target,
        "precision": manifest.precision,
    }
    return find(manifest.target).open(repository, manifest), described


@contextlib.contextmanager
def _baselines(
    subject: Subject, options: BenchOptions, not_measured: dict[str, str]
) -> Iterator[dict[str, Baseline]]:
    with contextlib.ExitStack() as stack:
        running = {}
        baselines = (
            baselines_of(subject.reference, subject.network, subject.other_reference)
            if options.baselines
            else {}
        )
        for name, start in baselines.items():
            try:
                running[name] = stack.enter_context(start())
            except (MissingDependency, SpecError) as error:
                not_measured[name] = str(error)
        yield running


class _Run:
    """Samples as they come in."""

    def __init__(self, *, options: BenchOptions, progress: Progress) -> None:
        self.options = options
        self.progress = progress
        self.samples: dict[str, list[float]] = {}
        self.not_measured: dict[str, str] = {}
        self.steps: dict[str, dict[str, float]] = {}
        self.throughput: list[dict[str, Any]] = []
        self.cores_limit: dict[str, Any] = {}
        self.open: list[dict[str, Any]] = []
        self.independent: dict[str, Any] = {}
        self.failure = ""

    def scopes(self, subject: Subject, baselines: Mapping[str, Baseline]) -> None:
        """Measure everything in turn, a block at a time, until all of it is stable or the budget is spent."""
        timed = subject.scopes()
        if ENGINE_WITH_TRANSFERS not in timed:
            self.not_measured[ENGINE_WITH_TRANSFERS] = (
                "the engine computes in the host's own memory, so there is nothing to transfer"
            )
        chosen = self.options.only or tuple(timed)
        blocks: dict[str, Callable[[int, int], list[float]]] = {
            name: _block_of(work) for name, work in timed.items() if name in chosen
        }
        blocks |= {name: baseline.block for name, baseline in baselines.items()}
        for done, (name, block) in enumerate(blocks.items()):
            self.progress(f"warm-up: {name}", done, len(blocks))
            block(0, self.options.warm_up)
        self.samples = {name: [] for name in blocks}
        server = ServerSteps(subject)
        rule, deadline = self.options.rule, time.monotonic() + self.options.budget_s
        unstable = list(blocks)
        while unstable:
            for name, block in blocks.items():
                # A stable scope goes on with the others, or its figures would be of another hour.
                counting = (
                    server.counting() if name == SERVED_ENSEMBLE else contextlib.nullcontext()
                )
                with counting:
                    self.samples[name] += block(len(self.samples[name]), BLOCK)
            self.steps = server.means()
            done = min(map(len, self.samples.values()))
            self.progress("scopes in turn", min(done, rule.samples), rule.samples)
            if done < rule.samples and time.monotonic() < deadline:
                continue
            unstable = [n for n, v in self.samples.items() if rule.doubt(Latencies(tuple(v)))]
            if time.monotonic() >= deadline:
                break

    def load(self, subject: Subject) -> None:
        """Throughput, open-loop load, and the other load generator, each by itself."""
        if self.options.load is not None:
            # Beside the throughput, since the machine may be slower in an hour.
            self.progress("the cores' limit", 0, 1)
            self.cores_limit = limit_of(subject, self.options.load)
            self.throughput = closed_loop(subject, self.options.load, progress=self.progress)
            single = [point for point in self.throughput if point["batch"] == 1]
            fastest = max(point["images_per_s"] for point in single)
            self.open = open_loop(subject, self.options.load, fastest, progress=self.progress)
        if self.options.independent:
            self.progress("perf_analyzer", 0, 1)
            ours = Latencies(tuple(self.samples[SERVED_ENSEMBLE]))
            self.independent = measure_independently(subject, ours)


def _block_of(timed: Timed) -> Callable[[int, int], list[float]]:
    return lambda first, count: [timed(index) for index in range(first, first + count)]
