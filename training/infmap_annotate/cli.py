"""``infmap-annotate``: make a study, add models' masks, serve it, and export its result."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from infmap_kit import command
from infmap_kit.errors import StudyError

app = command.Application(
    name="infmap-annotate",
    help="Doctors choose the best of several masks, blindly, in the browser. Research use only.",
    epilog="Example: `infmap-annotate init study --data qata --readers anna,ben`",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

people = command.Application(
    help="Who may sign in.",
    epilog="Example: `infmap-annotate readers add study dora`",
    no_args_is_help=True,
)
app.add_typer(people, name="readers")

StudyFolder = Annotated[Path, typer.Argument(metavar="STUDY", help="The study's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Days = Annotated[int, typer.Option(min=1, help="Days for which tokens are good.")]
_DAYS = 90


@app.command(
    epilog="Example: `infmap-annotate init study --data qata --readers anna,ben,cara --subset 500`"
)
def init(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="New folder.")],
    data: Annotated[
        Path, typer.Option(help="Data set; COVID-19 radiographs without a mask become stage II.")
    ],
    readers: Annotated[str, typer.Option(help="Names, with commas between them.")],
    third_readers: Annotated[
        str, typer.Option(help="Names of those who decide where the readers disagree.")
    ] = "",
    subset: Annotated[
        int | None,
        typer.Option(min=1, help="Number of radiographs with a mask in stage I. All by default."),
    ] = None,
    dice_bound: Annotated[
        float, typer.Option(help="Different masks count as agreeing from this Dice on.")
    ] = 0.8,
    draw_in_stage_1: Annotated[
        bool, typer.Option("--draw-in-stage-1", help="All masks may be rejected in stage I too.")
    ] = False,
    days: Days = _DAYS,
    seed: Annotated[int, typer.Option(help="Seed of all orders.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Make a study and print all tokens, once: only hashes are stored."""
    from infmap_annotate.study.collection import init_study
    from infmap_annotate.study.folder import Rules
    from infmap_kit.progress import progress_bar

    with progress_bar() as progress:
        tokens = init_study(
            study,
            data,
            first=_names(readers),
            third=_names(third_readers),
            subset=subset,
            rules=Rules(seed=seed, dice_bound=dice_bound, draw_in_stage_one=draw_in_stage_1),
            days=days,
            progress=progress,
        )
    _show_tokens(tokens, as_json=as_json)


@app.command(epilog="Example: `infmap-annotate predict study --run runs/unet-folds --name unet`")
def predict(
    study: StudyFolder,
    name: Annotated[str, typer.Option(help="The model's name in the statistics.")],
    run: Annotated[
        list[Path] | None,
        typer.Option(help="Run folder, or cross-validation's folder of them; may be repeated."),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            help="Ask the engine served there (gRPC, host:port); --run proves its training."
        ),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Folder of masks that were made elsewhere, NAME.png each.")
    ] = None,
    stage: Annotated[
        int, typer.Option(min=1, max=2, help="Stage whose radiographs get the masks.")
    ] = 1,
) -> None:
    """Add a model's masks to the radiographs of a stage, before its first decision.

    Each radiograph is predicted by a run that did not train on it; what all runs trained on is refused by name.
    """
    from infmap_annotate.study.folder import Study
    from infmap_kit.progress import progress_bar

    if (masks is None) == (not run and url is None):
        raise StudyError("expected either --run, --url (with or without --run) or --masks")
    opened = Study(study)
    with progress_bar() as progress:
        if masks is not None:
            from infmap_annotate.study.candidates import add_mask_folder

            count = add_mask_folder(opened, name, stage, masks)
        elif url is not None:
            from infmap_annotate.study.predict import predict_by_server

            count = predict_by_server(opened, name, stage, url, run or [], progress=progress)
        else:
            from infmap_annotate.study.predict import predict_by_runs

            count = predict_by_runs(opened, name, stage, run or [], progress=progress)
    command.console.print(f"{count} masks of {name} joined stage {stage}.", highlight=False)


@app.command(epilog="Example: `infmap-annotate serve study --port 8090`")
def serve(
    study: StudyFolder,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8090,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Another name under which browsers reach it; may be repeated."),
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="PEM file, for HTTPS.")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file of its key.")] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="A proxy in front speaks HTTPS.")
    ] = False,
) -> None:
    """Serve a study to its readers until Ctrl-C or SIGTERM; it may be killed at any time."""
    from infmap_annotate.web.serving import Address, serve_study

    address = Address(
        host=host, port=port, names=tuple(name or ()), certificate=certificate, key=key,
        behind_proxy=behind_proxy,
    )  # fmt: skip
    serve_study(study, address)


@app.command(epilog="Example: `infmap-annotate export study qata-annotated`")
def export(
    study: StudyFolder,
    folder: Annotated[Path, typer.Argument(help="New folder.")],
    stage: Annotated[int | None, typer.Option(min=1, max=2, help="One stage alone.")] = None,
    drawn: Annotated[
        bool,
        typer.Option("--drawn", help="Stage I with its masks from before the study, to train on."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the settled radiographs as a training set for `infmap-train fit`, with its data card."""
    from infmap_annotate.results.export import export_set
    from infmap_annotate.study.folder import Study
    from infmap_kit.progress import progress_bar

    with progress_bar() as progress:
        report = export_set(Study(study), folder, stage=stage, drawn=drawn, progress=progress)
    if as_json:
        command.print_json(report)
        return
    command.console.print(
        f"{folder}: {report['covid']} COVID-19 and {report['normal']} normal radiographs; "
        f"{report['left_out']} without a final mask are listed in left_out.csv",
        highlight=False,
    )


@app.command(epilog="Example: `infmap-annotate stats study --json`")
def stats(study: StudyFolder, as_json: AsJson = False) -> None:
    """Show progress, agreement, and whose masks the readers preferred."""
    from infmap_annotate.results.data_card import table_of
    from infmap_annotate.results.statistics import page_of, study_statistics
    from infmap_annotate.study.folder import Study

    document = study_statistics(Study(study))
    if as_json:
        command.print_json(document)
        return
    for entry in page_of(document)["tables"]:
        command.page.print("", table_of(entry))


@app.command(epilog="Example: `infmap-annotate backup study study-monday.tar`")
def backup(
    study: StudyFolder,
    file: Annotated[
        Path, typer.Argument(help="Archive to write; unpacked, it is the study again.")
    ],
) -> None:
    """Copy a study into one file, while it is served or not."""
    from infmap_annotate.study.backup import back_up
    from infmap_annotate.study.folder import Study

    count = back_up(Study(study), file)
    command.console.print(f"{file}: decisions, key and {count} masks.", highlight=False)


@people.command(epilog="Example: `infmap-annotate readers add study dora --days 30`")
def add(
    study: StudyFolder,
    name: Annotated[str, typer.Argument(help="The reader's name.")],
    third: Annotated[
        bool, typer.Option("--third", help="Decides where the readers disagree.")
    ] = False,
    days: Days = _DAYS,
    as_json: AsJson = False,
) -> None:
    """Add a reader, or give one a new token in place of a lost or expired one; works while serving."""
    from infmap_annotate.study.folder import Study
    from infmap_annotate.study.readers import OWNER, add_reader

    role = OWNER if name == OWNER else "third" if third else "first"
    with Study(study).writing() as sql:
        token = add_reader(sql, name, role, days=days)
    _show_tokens({name: token}, as_json=as_json)


@people.command(epilog="Example: `infmap-annotate readers revoke study dora`")
def revoke(
    study: StudyFolder, name: Annotated[str, typer.Argument(help="The reader's name.")]
) -> None:
    """Let a reader in no more, at once; their decisions stay, and the rest is not waited for."""
    from infmap_annotate.study.folder import Study
    from infmap_annotate.study.readers import revoke_reader

    with Study(study).writing() as sql:
        revoke_reader(sql, name)
    command.console.print(f"The token of {name} is revoked.", highlight=False)


@people.command("list", epilog="Example: `infmap-annotate readers list study`")
def list_(study: StudyFolder, as_json: AsJson = False) -> None:
    """List who may sign in, and until when."""
    from infmap_annotate.study.folder import Study
    from infmap_annotate.study.readers import readers
    from infmap_kit.report.table import Table

    known = readers(Study(study))
    if as_json:
        command.print_json([dataclasses.asdict(reader) for reader in known])
        return
    rows = [(r.name, r.role, r.expires_at[:10], (r.revoked_at or "")[:10]) for r in known]
    command.page.print(Table("", ("name", "role", "token good until", "revoked"), rows))


def main() -> None:
    """Run the command line."""
    command.run(app)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _show_tokens(tokens: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        command.print_json(tokens)
        return
    for name, token in tokens.items():
        typer.echo(f"{name}\t{token}")
    command.console.print(
        "Give everybody their own token; only hashes are kept, and nothing can show them again."
    )


if __name__ == "__main__":
    main()
