"""``infmap-train``: fit, cross-validate, evaluate, and the list of networks."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from infmap_kit import command
from infmap_kit.errors import Interrupted
from infmap_kit.progress import progress_bar
from infmap_kit.spec import NetworkSpec
from infmap_train.options import FitOptions
from infmap_train.quiet import import_tensorflow

app = typer.Typer(
    name="infmap-train",
    help="Train and evaluate the networks of COVID-19 infection maps. Research use only.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

datasets = typer.Typer(help="Compose training data.", no_args_is_help=True)
app.add_typer(datasets, name="dataset")

_PAPER = FitOptions()

Data = Annotated[
    Path, typer.Option(help="Folder with index.csv, of QaTa-COV19, or of COVID-QU-Ex.")
]
Network = Annotated[str, typer.Option(help="architecture/encoder; see `infmap-train networks`.")]
Frozen = Annotated[bool, typer.Option("--frozen", help="Keep the encoder's initial weights.")]
EncoderWeights = Annotated[
    str, typer.Option(help="none, imagenet, chexnet, or the path of an .h5 file.")
]
Epochs = Annotated[int, typer.Option(help="Passes over the training data.")]
BatchSize = Annotated[int, typer.Option(help="Radiographs a step.")]
LearningRate = Annotated[float, typer.Option(help="Adam's learning rate.")]
Schedule = Annotated[str, typer.Option(help="Of the learning rate: constant or cosine.")]
MixedPrecision = Annotated[
    bool, typer.Option("--mixed-precision", help="Compute in bfloat16, keep weights in FP32.")
]
SmallEpochs = Annotated[int, typer.Option(help="Begin with so many epochs of smaller pictures.")]
SmallSize = Annotated[int, typer.Option(help="Height and width of those, in pixels.")]
ImageDiceEpochs = Annotated[
    int, typer.Option(help="End with so many epochs of Dice loss image by image.")
]
ToneJitter = Annotated[float, typer.Option(help="Strength of tone augmentation; 0 is the paper.")]
Flip = Annotated[bool, typer.Option("--flip", help="Mirror half of the pictures.")]
Folds = Annotated[int, typer.Option(help="In how many parts the data are split, by patient.")]
Fold = Annotated[int, typer.Option(help="Which part is held back, counted from 0.")]
Seed = Annotated[int, typer.Option(help="Of split, weights, order and augmentation.")]
Licence = Annotated[str, typer.Option(help="Licence of the data, recorded with the weights.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


@app.command(
    epilog="Example: `infmap-train fit --data qata --run runs/unet --network unet/densenet121`"
)
def fit(
    data: Data,
    run: Annotated[Path, typer.Option(help="Run folder to write, or to go on with.")],
    network: Network = "unet/densenet121",
    frozen: Frozen = False,
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
    fold: Fold = _PAPER.fold,
    seed: Seed = _PAPER.seed,
    data_licence: Licence = "not stated",
    as_json: AsJson = False,
) -> None:
    """Train one network; the defaults are the paper's. The same command goes on after a break."""
    spec = NetworkSpec.parse(network, encoder_frozen=frozen)
    options = FitOptions(
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
        fold=fold,
        seed=seed,
    )
    _start()
    from infmap_train.fit import fit as train
    from infmap_train.readers import open_dataset
    from infmap_train.tables import evaluation_tables

    try:
        with progress_bar() as progress:
            pictures = open_dataset(data, folds=folds, progress=progress)
            report = train(
                spec, pictures, run, options, data_licence=data_licence, progress=progress
            )
    except KeyboardInterrupt:
        raise Interrupted(_go_on(run)) from None
    _show(report, evaluation_tables(spec, report), as_json=as_json)


@app.command(
    "cross-validate",
    epilog="Example: `infmap-train cross-validate --data qata --runs runs/unet-folds`",
)
def cross_validate(
    data: Data,
    runs: Annotated[Path, typer.Option(help="Folder for one run folder a fold, and the summary.")],
    network: Network = "unet/densenet121",
    frozen: Frozen = False,
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
    _start()
    from infmap_train.cross_validate import cross_validate as train_folds
    from infmap_train.readers import open_dataset
    from infmap_train.tables import evaluation_tables

    try:
        with progress_bar() as progress:
            pictures = open_dataset(data, folds=folds, progress=progress)
            summary = train_folds(
                spec, pictures, runs, options, data_licence=data_licence, progress=progress
            )
    except KeyboardInterrupt:
        raise Interrupted(_go_on(runs)) from None
    _show(summary, evaluation_tables(spec, summary), as_json=as_json)


@app.command(epilog="Example: `infmap-train evaluate runs/unet --data qata`")
def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder of a finished training.")],
    data: Data,
    everything: Annotated[
        bool, typer.Option("--all", help="All pictures, not only those that the run held back.")
    ] = False,
    url: Annotated[
        str | None, typer.Option(help="Ask the engine served there (gRPC, host:port) instead.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for tables, curves and the sheet of worst cases (radiographs!)."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure a trained network beside the paper's figures."""
    _start()
    from infmap_train.evaluate import evaluate_run
    from infmap_train.tables import evaluation_tables

    with progress_bar() as progress:
        evaluation = evaluate_run(run, data, everything=everything, url=url, progress=progress)
    if output:
        from infmap_train.evaluation_report import write_report

        write_report(evaluation, output)
    tables = evaluation_tables(evaluation.network, evaluation.report)
    _show(evaluation.report, tables, as_json=as_json)


@app.command(epilog="Example: `infmap-train networks --json`")
def networks(as_json: AsJson = False) -> None:
    """List the 24 networks: parameters, multiplications, and the paper's Table V."""
    _start()
    from infmap_train.complexity import network_rows, network_table

    with progress_bar() as progress:
        rows = network_rows(progress=progress)
    _show(rows, [network_table(rows)], as_json=as_json)


@datasets.command(
    epilog="Example: `infmap-train dataset build --data QaTa-COV19-v2 --normal nih set`"
)
def build(
    output: Annotated[Path, typer.Argument(help="New folder to write.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(help="QaTa-COV19, COVID-QU-Ex or a folder with index.csv; may be repeated."),
    ] = None,
    normal: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of normal radiographs, DICOM too; may be repeated."),
    ] = None,
    keep_all: Annotated[
        bool, typer.Option("--keep-all", help="List repeated and poor radiographs, and keep them.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compose a training set: repeated and poor radiographs are named and left out."""
    from infmap_train.dataset_build import build_dataset

    with progress_bar() as progress:
        report = build_dataset(
            data or [], normal or [], output, keep_all=keep_all, progress=progress
        )
    if as_json:
        command.print_json(report)
        return
    command.console.print(
        f"{output}: {report['covid']} COVID-19 and {report['normal']} normal radiographs of "
        f"{report['patient_groups']} patient groups; {report['listed']} listed in left_out.csv"
    )


def main() -> None:
    """Run the command line."""
    command.run(app)


def _start() -> None:
    handler = logging.StreamHandler(_Console())
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.getLogger("infmap_train").addHandler(handler)
    logging.getLogger("infmap_train").setLevel(logging.INFO)
    import_tensorflow()


class _Console:
    """Log lines go through the console, which keeps them above the progress bar."""

    def write(self, text: str) -> None:
        command.console.print(text, end="", highlight=False, markup=False, soft_wrap=True)

    def flush(self) -> None:
        """Nothing is kept back."""


def _go_on(folder: Path) -> str:
    return f"interrupted; give the same command again and {folder} is taken up after its last epoch"


def _show(document: Any, tables: list[Any], *, as_json: bool) -> None:
    if as_json:
        command.print_json(document)
        return
    for table in tables:
        command.console.print(table.rich())


if __name__ == "__main__":
    main()
