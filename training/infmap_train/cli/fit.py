"""``infmap-train fit`` and ``cross-validate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from infmap_kit.errors import Interrupted
from infmap_kit.model.spec import NetworkSpec
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
    ImageDiceEpochs,
    LearningRate,
    Licence,
    MixedPrecision,
    Network,
    Schedule,
    Seed,
    SmallEpochs,
    SmallSize,
    StartFrom,
    TargetOption,
    ToneJitter,
    app,
    go_on,
    show,
    start,
)
from infmap_train.training.options import FitOptions

_PAPER = FitOptions()


@app.command(
    epilog="Example: `infmap-train fit --data qata --run runs/unet --network unet/densenet121`"
)
def fit(
    data: Data,
    run: Annotated[Path, typer.Option(help="Run folder to write, or to go on with.")],
    target: TargetOption = _PAPER.target,
    network: Network = "unet/densenet121",
    frozen: Frozen = False,
    finding: Finding = _PAPER.finding,
    encoder_weights: EncoderWeights = _PAPER.encoder_weights,
    start_from: StartFrom = _PAPER.start_from,
    epochs: Epochs = _PAPER.epochs,
    batch_size: BatchSize = _PAPER.batch_size,
    learning_rate: LearningRate = _PAPER.learning_rate,
    schedule: Schedule = _PAPER.schedule,
    mixed_precision: MixedPrecision = _PAPER.mixed_precision,
    small_epochs: SmallEpochs = _PAPER.small_epochs,
    small_size: SmallSize = _PAPER.small_size,
    image_dice_epochs: ImageDiceEpochs = _PAPER.image_dice_epochs,
    tone_jitter: ToneJitter = _PAPER.tone_jitter,
    flip: Flip = _PAPER.flip,
    folds: Folds = _PAPER.folds,
    fold: Fold = _PAPER.fold,
    seed: Seed = _PAPER.seed,
    data_licence: Licence = "not stated",
    as_json: AsJson = False,
) -> None:
    """Train one network; the defaults are the paper's. The same command goes on after a break."""
    spec = NetworkSpec.parse(network, encoder_frozen=frozen)
    options = FitOptions(
        target=target,
        finding=finding,
        encoder_weights=encoder_weights,
        start_from=start_from,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        schedule=schedule,
        mixed_precision=mixed_precision,
        small_epochs=small_epochs,
        small_size=small_size,
        image_dice_epochs=image_dice_epochs,
        tone_jitter=tone_jitter,
        flip=flip,
        folds=folds,
        fold=fold,
        seed=seed,
    )
    start()
    from infmap_train.data.layouts import open_dataset
    from infmap_train.evaluation.tables import evaluation_tables
    from infmap_train.training.fit import fit as train

    try:
        with progress_bar() as progress:
            pictures = open_dataset(data, folds=folds, target=target, progress=progress)
            report = train(
                spec, pictures, run, options, data_licence=data_licence, progress=progress
            )
    except KeyboardInterrupt:
        raise Interrupted(go_on(run)) from None
    show(report, evaluation_tables(spec, report), as_json=as_json)


@app.command(
    "cross-validate",
    epilog="Example: `infmap-train cross-validate --data qata --runs runs/unet-folds`",
)
def cross_validate(
    data: Data,
    runs: Annotated[Path, typer.Option(help="Folder for one run folder a fold, and the summary.")],
    target: TargetOption = _PAPER.target,
    network: Network = "unet/densenet121",
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
    image_dice_epochs: ImageDiceEpochs = _PAPER.image_dice_epochs,
    tone_jitter: ToneJitter = _PAPER.tone_jitter,
    flip: Flip = _PAPER.flip,
    folds: Folds = _PAPER.folds,
    seed: Seed = _PAPER.seed,
    data_licence: Licence = "not stated",
    as_json: AsJson = False,
) -> None:
    """Train on every fold and cumulate the held-back parts; finished folds are kept."""
    spec = NetworkSpec.parse(network, encoder_frozen=frozen)
    options = FitOptions(
        target=target,
        finding=finding,
        encoder_weights=encoder_weights,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        schedule=schedule,
        mixed_precision=mixed_precision,
        small_epochs=small_epochs,
        small_size=small_size,
        image_dice_epochs=image_dice_epochs,
        tone_jitter=tone_jitter,
        flip=flip,
        folds=folds,
        seed=seed,
    )
    start()
    from infmap_train.data.layouts import open_dataset
    from infmap_train.evaluation.tables import evaluation_tables
    from infmap_train.training.cross_validate import cross_validate as train_folds

    try:
        with progress_bar() as progress:
            pictures = open_dataset(data, folds=folds, target=target, progress=progress)
            summary = train_folds(
                spec, pictures, runs, options, data_licence=data_licence, progress=progress
            )
    except KeyboardInterrupt:
        raise Interrupted(go_on(runs)) from None
    show(summary, evaluation_tables(spec, summary), as_json=as_json)
