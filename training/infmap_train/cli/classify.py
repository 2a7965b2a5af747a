"""``infmap-train classify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infmap_kit.cli.options import Given, with_options
from infmap_kit.model.spec import ClassifierSpec, Encoder, member
from infmap_train.cli.app import AsJson, Data, Frozen, Licence, app, show, start, train
from infmap_train.options import FitOptions

_PAPER = FitOptions.of_classifiers()


@app.command(
    epilog="Example: `infmap-train classify --data qata --run runs/resnet --encoder-weights imagenet`"
)
@with_options(
    _PAPER, leave_out=("anatomy", "start_from", "image_dice_epochs", "dice_smooth_pixels")
)
def classify(
    data: Data,
    run: Annotated[
        Path,
        typer.Option(
            help="Run folder to write or to continue; with --all-folds, the folder that holds one for each "
            "fold."
        ),
    ],
    encoder: Annotated[
        str,
        typer.Option(
            help="Encoder of the classifier: chexnet, densenet121, inceptionv3 or resnet50."
        ),
    ] = "densenet121",
    frozen: Frozen = False,
    *,
    given: Given,
    all_folds: Annotated[
        bool,
        typer.Option(
            "--cross-validate",
            help="Train every fold, and pool the results on their held-back parts.",
        ),
    ] = False,
    data_licence: Licence = "not stated",
    as_json: AsJson = False,
) -> None:
    """Train a classifier for comparison (paper, III-C), which says whether there is COVID-19 but not where."""
    spec = ClassifierSpec(encoder=member(Encoder, encoder), encoder_frozen=frozen)
    options = given.options(_PAPER)
    start()
    from infmap_train.evaluation.tables import classifier_tables
    from infmap_train.training.classify import classify as learn_one
    from infmap_train.training.cross_validate import cross_validate as learn_all

    learn = learn_all if all_folds else learn_one
    report = train(learn, spec, data, run, options, data_licence=data_licence)
    show(report, classifier_tables(spec, report), as_json=as_json)
