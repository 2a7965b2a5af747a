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
    help="Let doctors choose the best of several masks in the browser, without knowing where each is "
    "from. For research use only.",
    epilog="Example: `infmap-annotate init study --data qata --readers anna,ben`",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

people = command.Application(
    help="Manage the readers who may sign in.",
    epilog="Example: `infmap-annotate readers add study dora`",
    no_args_is_help=True,
)
app.add_typer(people, name="readers")

StudyFolder = Annotated[Path, typer.Argument(metavar="STUDY", help="The study's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Days = Annotated[int, typer.Option(min=1, help="Number of days for which tokens are valid.")]
_DAYS = 90


@app.command(
    epilog="Example: `infmap-annotate init study --data qata --readers anna,ben,cara --subset 500`"
)
def init(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="New folder for the study.")],
    data: Annotated[
        Path,
        typer.Option(
            help="Folder of the data set. COVID-19 radiographs without a mask become stage II."
        ),
    ],
    readers: Annotated[str, typer.Option(help="Names of the readers, with commas between them.")],
    third_readers: Annotated[
        str, typer.Option(help="Names of the third readers, who decide where the readers disagree.")
    ] = "",
    subset: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of radiographs with a mask in stage I. The default is all."
        ),
    ] = None,
    dice_bound: Annotated[
        float, typer.Option(help="Smallest Dice at which two different masks count as agreeing.")
    ] = 0.8,
    draw_in_stage_1: Annotated[
        bool,
        typer.Option(
            "--draw-in-stage-1", help="Allow readers to reject all masks in stage I as well."
        ),
    ] = False,
    days: Days = _DAYS,
    seed: Annotated[
        int, typer.Option(help="Seed of the orders in which radiographs and masks are shown.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Make a study, and print the readers' tokens once. Only their hashes are stored."""
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
    name: Annotated[str, typer.Option(help="Name of the model in the statistics.")],
    run: Annotated[
        list[Path] | None,
        typer.Option(
            help="Run folder, or the folder of a cross-validation's runs; may be repeated."
        ),
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(
            help="gRPC endpoint (host:port) of a server to ask instead; --run shows on which radiographs its "
            "network was trained."
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="Folder of masks that were made elsewhere, each called NAME.png."),
    ] = None,
    stage: Annotated[
        int, typer.Option(min=1, max=2, help="Stage whose radiographs get the masks.")
    ] = 1,
) -> None:
    """Add a model's masks to the radiographs of a stage, before the first decision on them.

    Each radiograph is predicted by a run that was not trained on it. A radiograph on which all runs were
    trained is refused by name.
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
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8090,
    name: Annotated[
        list[str] | None,
        typer.Option(help="Further name under which browsers reach the server; may be repeated."),
    ] = None,
    certificate: Annotated[Path | None, typer.Option(help="Certificate for HTTPS (PEM).")] = None,
    key: Annotated[Path | None, typer.Option(help="Private key of the certificate (PEM).")] = None,
    behind_proxy: Annotated[
        bool,
        typer.Option(
            "--behind-proxy", help="State that a proxy in front of the server provides HTTPS."
        ),
    ] = False,
) -> None:
    """Serve a study to its readers until Ctrl-C or SIGTERM. It may be killed at any time without loss."""
    from infmap_annotate.web.serving import Address, serve_study

    address = Address(
        host=host, port=port, names=tuple(name or ()), certificate=certificate, key=key,
        behind_proxy=behind_proxy,
    )  # fmt: skip
    serve_study(study, address)


@app.command(epilog="Example: `infmap-annotate export study qata-annotated`")
def export(
    study: StudyFolder,
    folder: Annotated[Path, typer.Argument(help="New folder for the study.")],
    stage: Annotated[
        int | None, typer.Option(min=1, max=2, help="Stage to export. The default is all.")
    ] = None,
    drawn: Annotated[
        bool,
        typer.Option(
            "--drawn",
            help="Export stage I with the masks that it had before the study, for training.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write the settled radiographs as a training set for `infmap-train fit`, with a data card."""
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
    """Copy a study into one file. The study may be served meanwhile."""
    from infmap_annotate.study.backup import back_up
    from infmap_annotate.study.folder import Study

    count = back_up(Study(study), file)
    command.console.print(f"{file}: decisions, key and {count} masks.", highlight=False)


@people.command(epilog="Example: `infmap-annotate readers add study dora --days 30`")
def add(
    study: StudyFolder,
    name: Annotated[str, typer.Argument(help="The reader's name.")],
    third: Annotated[
        bool,
        typer.Option(
            "--third", help="Make this a third reader, who decides where the readers disagree."
        ),
    ] = False,
    days: Days = _DAYS,
    as_json: AsJson = False,
) -> None:
    """Add a reader, or replace a reader's lost or expired token. The study may be served meanwhile."""
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
    """Revoke a reader's access immediately. Past decisions are kept; further ones are no longer waited for."""
    from infmap_annotate.study.folder import Study
    from infmap_annotate.study.readers import revoke_reader

    with Study(study).writing() as sql:
        revoke_reader(sql, name)
    command.console.print(f"The token of {name} is revoked.", highlight=False)


@people.command("list", epilog="Example: `infmap-annotate readers list study`")
def list_(study: StudyFolder, as_json: AsJson = False) -> None:
    """List the readers who may sign in, and until when."""
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
