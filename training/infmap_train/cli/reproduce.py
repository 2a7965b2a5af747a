"""``infmap-train reproduce``."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infmap_kit.cli.options import Given, with_options
from infmap_kit.cluster import ClusterOptions
from infmap_kit.command import console, print_json
from infmap_kit.errors import HostMismatch, Interrupted, TrainingError
from infmap_kit.progress import log_teller, progress_bar
from infmap_train.cli.app import AsJson, app, show, start

if TYPE_CHECKING:
    from infmap_train.reproduction.plan import TrainingPlan
    from infmap_train.reproduction.run import ReproductionStart, TrainingTally


@app.command(epilog="Example: `infmap-train reproduce plan.toml --data qata --runs runs`")
@with_options(ClusterOptions, leave_out=("workers", "memory"))
def reproduce(
    plan: Annotated[
        str,
        typer.Argument(
            metavar="PLAN",
            help="TOML file that lists the trainings, or `paper` for the paper's 120.",
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of the data, as for `fit`; not needed for --dry-run."),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(
            help="Folder for all run folders, which `summarise` reads; not needed for --dry-run."
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            min=0,
            help="Number of simultaneous trainings on this machine; 0 starts one per GPU, or one without a "
            "GPU.",
        ),
    ] = 0,
    *,
    given: Given,
    tries: Annotated[
        int,
        typer.Option(
            min=1,
            help="Number of times that a training may lose its worker before it counts as failed.",
        ),
    ] = 3,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Train nothing, and estimate the cost.")
    ] = False,
    throughput: Annotated[
        float,
        typer.Option(
            min=0,
            help="With --dry-run: training speed of U-Net with DenseNet-121 on the machines to be used, in "
            "radiographs per second. Without it, one step of each network is timed on this machine.",
        ),
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Run all trainings of a plan, on workers of this machine or of a cluster.

    Each training writes a run folder as `fit` does. After an interruption, the same command continues. If a
    worker is lost, at most one epoch is lost with it. A failed training does not stop the others; it is
    named at the end with the reason, and the next call tries it again.
    """
    from infmap_train.reproduction.plan import TrainingPlan

    read = TrainingPlan.read(plan)
    if dry_run:
        start()
        from infmap_train.reproduction.cost import cost_of

        with progress_bar() as progress:
            cost = cost_of(read, data=data, runs=runs, throughput=throughput, progress=progress)
        show(cost.as_json(), [cost.table()], as_json=as_json)
        return
    if throughput:
        raise TrainingError("--throughput is for --dry-run: leave it out, or add that")
    if data is None or runs is None:
        raise TrainingError("expected --data DATA and --runs FOLDER, or --dry-run")
    cluster, gpus = _placed(given.options(ClusterOptions), read, workers)
    if cluster.warning:
        console.print(cluster.warning, soft_wrap=True)
    from infmap_train.reproduction.run import ReproductionStart

    tally = _watched(
        ReproductionStart(plan=read, data=data, runs=runs, cluster=cluster, gpus=gpus, tries=tries)
    )
    folders = [str(runs / f"seed-{seed}") for seed in read.seeds]
    if as_json:
        print_json({**tally.as_json(), "summarise": folders})
    else:
        console.print(f"{_state(tally)}. For the paper's tables:", soft_wrap=True)
        for folder in folders:
            console.print(f"infmap-train summarise {folder}", soft_wrap=True)
    if tally.failed:
        raise TrainingError(_failures(tally, runs))


def _placed(
    cluster: ClusterOptions, plan: TrainingPlan, workers: int
) -> tuple[ClusterOptions, tuple[str, ...]]:
    """The workers, and the GPUs of those on this machine.

    Raises
    ------
    HostMismatch
        When this machine has not what the plan asks for.
    TrainingError
        When more workers were asked for than there are GPUs, or of a cluster.
    """
    from infmap_kit.tensorrt.present_gpu import gpus_here

    if cluster.scheduler:
        if workers:
            raise TrainingError("--workers is for this machine: leave it out with --scheduler")
        return cluster, ()
    if not plan.gpu:
        return dataclasses.replace(cluster, workers=workers or 1), ()
    gpus = tuple(gpus_here())
    if not gpus:
        raise HostMismatch(
            "the plan is for GPUs, and this machine has none: name a cluster that has with --scheduler, or say "
            "gpu = false in the plan, which takes many times as long"
        )
    if workers > len(gpus):
        raise TrainingError(
            f"--workers {workers} is more than the {len(gpus)} GPUs here: take fewer"
        )
    chosen = dataclasses.replace(cluster, workers=workers or len(gpus), resources={"GPU": 1})
    return chosen, gpus


def _watched(start: ReproductionStart) -> TrainingTally:
    """Train, and show how far it is.

    Raises
    ------
    Interrupted
        On Ctrl-C, saying how to go on.
    """
    from infmap_train.reproduction.run import TrainingTally, conduct

    tally, tell = TrainingTally(trainings=len(start.plan.trainings), epochs=0), log_teller()
    told: set[str] = set()
    try:
        with progress_bar() as progress, contextlib.closing(conduct(start)) as tallies:
            for number, tally in enumerate(tallies):
                news = {*tally.done, *tally.failed} - told
                if number == 0 and tally.kept:
                    console.print(f"{tally.kept} of {tally.trainings} are trained already.")
                for name in sorted(news) if number else ():
                    console.print(
                        f"failed: {name}: {tally.failed[name]}"
                        if name in tally.failed
                        else f"trained: {name}",
                        soft_wrap=True,
                    )
                told |= news
                progress(_state(tally), tally.epochs_done, tally.epochs)
                tell(_state(tally))
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped with {len(tally.done)} of {tally.trainings} trained; give the same command again, also "
            "with other workers, and the rest is taken up, each training after its last epoch"
        ) from None
    return tally


def _state(tally: TrainingTally) -> str:
    """The progress in one line."""
    at = [f"{name} after epoch {epoch}" for name, epoch in tally.running.items()]
    parts = [f"{len(tally.done)} of {tally.trainings} trained"]
    parts += [f"{len(tally.failed)} failed"] * bool(tally.failed)
    parts += [f"{tally.deaths} times a worker was lost"] * bool(tally.deaths)
    parts += [f"at {', '.join(at)}"] * bool(at)
    if at and tally.ends_in_s:
        left_min = tally.ends_in_s / 60
        about = f"{left_min / 60:,.0f} h" if left_min > 300 else f"{left_min:.0f} min"
        parts.append(f"about {about} of epochs to go")
    return "; ".join(parts)


def _failures(tally: TrainingTally, runs: Path) -> str:
    """The failed trainings, once for each reason."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in tally.failed.items():
        by_reason.setdefault(reason, []).append(name)
    lines = [f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()]
    head = (
        f"{len(tally.failed)} of {tally.trainings} trainings failed, what they said is in {runs}/NAME.log; "
        "fix the reason and give the same command again:"
    )
    return "\n  ".join([head, *lines])
