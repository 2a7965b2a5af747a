"""``infmap-train classify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infmap_kit.errors import Interrupted
from infmap_kit.model.spec import ClassifierSpec, Encoder, member
from infmap_kit.progress import progress_bar
from infmap_train.cli.app import (
    AsJson,
    BatchSize,
    Data,
    EncoderWeights,
    Epochs,
    Finding,
    Flip,
    Fold,
    Folds,
    Frozen,
    LearningRate,
    Licence,
    MixedPrecision,
    Schedule,
    Seed,
    SmallEpochs,
    SmallSize,
    ToneJitter,
    app,
    go_on,
    show,
    start,
)
from infmap_train.training.options import FitOptions

_PAPER = FitOptions.of_classifiers()


@app.command(
    epilog="Example: `infmap-train classify --data qata --run runs/classifier --encoder densenet121`"
)
def classify(
    data: Data,
    run: Annotated[
        Path,
        typer.Option(help="Run folder to write, or to go on with; with all folds, their parent."),
    ],
    encoder: Annotated[
        str, typer.Option(help="chexnet, densenet121, inceptionv3 or resnet50.")
    ] = "densenet121",
    frozen: Frozen = False,
    finding: Finding = _PAPER.finding,
    encoder_weights: EncoderWeights = _PAPER.encoder_weights,
    epochs: Epochs = _PAPER.epochs,
    batch_size: BatchSize = _PAPER.batch_size,
    learning_rate: LearningRate = _PAPER.learning_rate,
    schedule: Schedule = _PAPER.schedule,
    mixed_precision: MixedPrecision = _PAPER.mixed_precision,
    small_epochs: SmallEpochs = _PAPER.small_epochs,
    small_size: SmallSize = _PAPER.small_size,
    tone_jitter: ToneJitter = _PAPER.tone_jitter,
    flip: Flip = _PAPER.flip,
    folds: Folds = _PAPER.folds,
    fold: Fold = _PAPER.fold,
    all_folds: Annotated[
        bool,
        typer.Option(
            "--cross-validate", help="Train every fold, and cumulate what they hold back."
        ),
    ] = False,
    seed: Seed = _PAPER.seed,
    data_licence: Licence = "not stated",
    as_json: AsJson = False,
) -> None:
    """Train a classifier to compare with (the paper's III-C): whether there is COVID-19, not where."""
    spec = ClassifierSpec(encoder=member(Encoder, encoder), encoder_frozen=frozen)
    options = FitOptions(
        finding=finding,
        encoder_weights=encoder_weights,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        schedule=schedule,
        mixed_precision=mixed_precision,
        small_epochs=small_epochs,
        small_size=small_size,
        tone_jitter=tone_jitter,
        flip=flip,
        folds=folds,
        fold=fold,
        seed=seed,
    )
    start()
    from infmap_train.data.layouts import open_dataset
    from infmap_train.evaluation.tables import classifier_tables
    from infmap_train.training.classify import classify as train
    from infmap_train.training.cross_validate import cross_validate as train_folds

    learn = train_folds if all_folds else train
    try:
        with progress_bar() as progress:
            pictures = open_dataset(data, folds=folds, progress=progress)
            report = learn(
                spec, pictures, run, options, data_licence=data_licence, progress=progress
            )
    except KeyboardInterrupt:
        raise Interrupted(go_on(run)) from None
    show(report, classifier_tables(spec, report), as_json=as_json)
