"""`infmap-kit tune`."""

from __future__ import annotations

from typing import Annotated

import typer

from infmap_kit.cli.app import DEFAULT_REPOSITORY, Json, Repository, app
from infmap_kit.cli.serving.served_by import Runtime, served_by
from infmap_kit.command import print_result
from infmap_kit.progress import progress_bar


@app.command(epilog="Example: `infmap-kit tune --repository model_repository`")
def tune(
    repository: Repository = DEFAULT_REPOSITORY,
    goal: Annotated[
        str,
        typer.Option(
            "--for", help="Goal: latency (of a single request) or throughput (of many at a time)."
        ),
    ] = "latency",
    seconds: Annotated[
        float,
        typer.Option(
            min=0.5,
            help="Seconds for which each setting is measured with each of 1, 2, 4, 8 and 16 clients.",
        ),
    ] = 5.0,
    runtime: Runtime = "auto",
    json_: Json = False,
) -> None:
    """Choose threads, instances and streams for this machine by measurement.

    The command tries settings with its own server. If the repository passes the gate again with the best
    one, it is published as the next release, and the previous release is kept (`infmap-kit rollback`).
    Triton's own backends choose their threads themselves.
    """
    from infmap_kit.bench.tune import parse_goal, trials_table
    from infmap_kit.bench.tune import tune as tune_repository
    from infmap_kit.targets.target import Setting

    with progress_bar() as progress:
        manifest, trials = tune_repository(
            repository,
            goal=parse_goal(goal),
            seconds=seconds,
            serve=served_by(runtime),
            progress=progress,
        )
    tuned = manifest.model["tuned"]
    chosen = f"Release {manifest.release} of {repository} runs {Setting(**tuned['chosen'])}."
    document = {"release": manifest.release, **tuned}
    print_result(document, trials_table(trials), chosen, as_json=json_)
