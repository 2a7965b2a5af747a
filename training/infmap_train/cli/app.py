"""The application that every command joins, and the options that several of them share."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from infmap_kit import command
from infmap_kit.cli.options import Given
from infmap_kit.errors import Interrupted, TrainingError
from infmap_kit.model.spec import Anatomy, ClassifierSpec, NetworkSpec
from infmap_kit.progress import progress_bar
from infmap_train.networks.quiet import import_tensorflow
from infmap_train.options import FitOptions

app = command.Application(
    name="infmap-train",
    help="Train and evaluate networks for COVID-19 infection maps. For research use only.",
    epilog="Example: `infmap-train fit --data qata --run runs/unet --encoder-weights imagenet`",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

Data = Annotated[
    Path,
    typer.Option(
        help="Folder with index.csv, or folder of a public data set that a reader recognises."
    ),
]
OldTarget = Annotated[
    Anatomy | None, typer.Option("--target", hidden=True, help="Earlier spelling of --anatomy.")
]
Network = Annotated[
    str, typer.Option(help="Network as architecture/encoder; `infmap-train networks` lists them.")
]
Frozen = Annotated[
    bool, typer.Option("--frozen", help="Freeze the encoder, so that it keeps its initial weights.")
]
Licence = Annotated[str, typer.Option(help="Licence of the data, recorded with the weights.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Finished = Annotated[Path, typer.Argument(help="Run folder of a finished training.")]
Everything = Annotated[
    bool, typer.Option("--all", help="Use all radiographs, not only those that were held back.")
]


def start(*, tensorflow: bool = True) -> None:
    """Begin a command that computes: log lines to the console, TensorFlow, where it is needed, in silence."""
    log_to_console()
    if tensorflow:
        import_tensorflow()


def log_to_console() -> None:
    """Show the lines of the log."""
    handler = logging.StreamHandler(_Console())
    handler.setFormatter(logging.Formatter("%(message)s"))
    logging.getLogger("infmap_train").addHandler(handler)
    logging.getLogger("infmap_train").setLevel(logging.INFO)
    # TensorFlow gives the root a handler of its own, which would print each line again.
    logging.getLogger("infmap_train").propagate = False


class _Console:
    """Log lines go through the console, which keeps them above the progress bar."""

    def write(self, text: str) -> None:
        command.console.print(text, end="", highlight=False, soft_wrap=True)

    def flush(self) -> None:
        """Do nothing: lines are printed at once."""


def segmentation_options(given: Given, target: Anatomy | None) -> FitOptions:
    """Make the options that were given; ``--target`` is the earlier spelling of ``--anatomy``."""
    if target is None:
        return given.options(FitOptions)
    if "anatomy" in given.values:
        raise TrainingError("--target is the earlier spelling of --anatomy: leave it out")
    command.console.print(f"--target is deprecated: say --anatomy {target}", highlight=False)
    return given.options(FitOptions, anatomy=target)


def train(
    learn: Callable[..., dict[str, Any]],
    network: NetworkSpec | ClassifierSpec,
    data: Path,
    folder: Path,
    options: FitOptions,
    *,
    data_licence: str,
) -> dict[str, Any]:
    """Open the data and train with a bar of progress.

    Parameters
    ----------
    learn
        ``fit``, ``classify`` or ``cross_validate``.
    folder
        Folder that it fills.

    Raises
    ------
    TrainingError
        When nobody chose the encoder's initial weights, or the data are unfit.
    Interrupted
        On Ctrl-C, saying how to go on.
    """
    from infmap_train.data.layouts import open_dataset
    from infmap_train.training.loop import refuse_early

    options.refuse_undecided()
    refuse_early(network, options)
    try:
        with progress_bar() as progress:
            pictures = open_dataset(
                data,
                folds=options.folds,
                anatomy=options.anatomy,
                options=options,
                progress=progress,
            )
            return learn(
                *(network, pictures, folder, options), data_licence=data_licence, progress=progress
            )
    except KeyboardInterrupt:
        raise Interrupted(
            f"interrupted; give the same command again and {folder} is taken up after its last epoch"
        ) from None


def show(document: Any, tables: list[Any], *, as_json: bool) -> None:
    """Print a result: its tables for people, or the document on stdout."""
    if as_json:
        from infmap_train.data.output import json_ready

        command.print_json(json_ready(document))
        return
    for table in tables:
        command.console.print(table)
