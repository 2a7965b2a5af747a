"""``infmap-train fit`` and ``cross-validate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infmap_kit.cli.options import Given, with_options
from infmap_kit.model.spec import NetworkSpec
from infmap_train.cli.app import (
    AsJson,
    Data,
    Frozen,
    Licence,
    Network,
    OldTarget,
    app,
    segmentation_options,
    show,
    start,
    train,
)
from infmap_train.options import FitOptions


@app.command(
    epilog="Example: `infmap-train fit --data qata --run runs/unet --encoder-weights imagenet`"
)
@with_options(FitOptions)
def fit(
    data: Data,
    run: Annotated[Path, typer.Option(help="Run folder to write or to continue.")],
    network: Network = "unet/densenet121",
    frozen: Frozen = False,
    *,
    given: Given,
    target: OldTarget = None,
    data_licence: Licence = "not stated",
    as_json: AsJson = False,
) -> None:
    """Train one network with the paper's settings. After an interruption, the same command continues."""
    spec = NetworkSpec.parse(network, encoder_frozen=frozen)
    options = segmentation_options(given, target)
    start()
    from infmap_train.evaluation.tables import evaluation_tables
    from infmap_train.training.fit import fit as learn

    report = train(learn, spec, data, run, options, data_licence=data_licence)
    show(report, evaluation_tables(spec, report), as_json=as_json)


@app.command(
    "cross-validate",
    epilog="Example: `infmap-train cross-validate --data qata --runs folds --encoder-weights imagenet`",
)
@with_options(FitOptions, leave_out=("start_from", "fold"))
def cross_validate(
    data: Data,
    runs: Annotated[
        Path, typer.Option(help="Folder for one run folder per fold, and for the summary.")
    ],
    network: Network = "unet/densenet121",
    frozen: Frozen = False,
    *,
    given: Given,
    target: OldTarget = None,
    data_licence: Licence = "not stated",
    as_json: AsJson = False,
) -> None:
    """Train on every fold and pool the results on the held-back parts. Finished folds are kept."""
    spec = NetworkSpec.parse(network, encoder_frozen=frozen)
    options = segmentation_options(given, target)
    start()
    from infmap_train.evaluation.tables import evaluation_tables
    from infmap_train.training.cross_validate import cross_validate as learn

    summary = train(learn, spec, data, runs, options, data_licence=data_licence)
    show(summary, evaluation_tables(spec, summary), as_json=as_json)
