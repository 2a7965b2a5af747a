"""The application that every command joins, and what several of them share."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from infmap_kit import command
from infmap_train.quiet import import_tensorflow
from infmap_train.training.options import Target

app = typer.Typer(
    name="infmap-train",
    help="Train and evaluate the networks of COVID-19 infection maps. Research use only.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

Data = Annotated[
    Path, typer.Option(help="Folder with index.csv, of QaTa-COV19, or of COVID-QU-Ex.")
]
TargetOption = Annotated[Target, typer.Option(help="What is segmented: infection or lungs.")]
Finding = Annotated[
    str,
    typer.Option(
        metavar="<path>",
        help="TOML file that names what is learnt; COVID-19 infection without one.",
    ),
]
Network = Annotated[str, typer.Option(help="architecture/encoder; see `infmap-train networks`.")]
Frozen = Annotated[bool, typer.Option("--frozen", help="Keep the encoder's initial weights.")]
EncoderWeights = Annotated[
    str, typer.Option(help="none, imagenet, chexnet, or the path of an .h5 file.")
]
StartFrom = Annotated[
    str, typer.Option(metavar="<path>", help="Begin with the weights of this finished run.")
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


def start() -> None:
    """Begin a command that computes: log lines to the console, TensorFlow in silence."""
    handler = logging.StreamHandler(_Console())
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.getLogger("infmap_train").addHandler(handler)
    logging.getLogger("infmap_train").setLevel(logging.INFO)
    # TensorFlow gives the root a handler of its own, which would tell each line again.
    logging.getLogger("infmap_train").propagate = False
    import_tensorflow()


class _Console:
    """Log lines go through the console, which keeps them above the progress bar."""

    def write(self, text: str) -> None:
        command.console.print(text, end="", highlight=False, markup=False, soft_wrap=True)

    def flush(self) -> None:
        """Nothing is kept back."""


def go_on(folder: Path) -> str:
    """What is told on Ctrl-C."""
    return f"interrupted; give the same command again and {folder} is taken up after its last epoch"


def show(document: Any, tables: list[Any], *, as_json: bool) -> None:
    """Print a result: its tables for people, or the document on stdout."""
    if as_json:
        command.print_json(document)
        return
    for table in tables:
        command.console.print(table)
