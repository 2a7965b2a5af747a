"""`infmap-kit node init`, `check` and `test`: from a few answers to a node that is known to work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infmap_kit.cli.app import Json
from infmap_kit.cli.results.node import DEFAULT_CONFIG, node, node_extra, read_node
from infmap_kit.command import console, print_json
from infmap_kit.errors import NodeError

if TYPE_CHECKING:
    from infmap_kit.node.check.look import Look


@node.command(
    epilog="Examples: `infmap-kit node init`, `infmap-kit node init --yes --pacs-host pacs.hospital "
    "--pacs-ae-title PACS --sender XRAY_ROOM1`"
)
def init(
    file: Annotated[Path, typer.Argument(help="The file to write.")] = DEFAULT_CONFIG,
    pacs_host: Annotated[str | None, typer.Option(help="Host name or address of the PACS.")] = None,
    pacs_port: Annotated[int | None, typer.Option(help="DICOM port of the PACS.")] = None,
    pacs_ae_title: Annotated[str | None, typer.Option(help="AE title of the PACS.")] = None,
    sender: Annotated[
        list[str] | None,
        typer.Option(
            help="AE title of a sender that the node accepts; may be given several times."
        ),
    ] = None,
    ae_title: Annotated[str | None, typer.Option(help="AE title of the node.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    spool: Annotated[
        str | None, typer.Option(help="Folder for radiographs and results that are on their way.")
    ] = None,
    model_url: Annotated[str | None, typer.Option(help="The model server's gRPC endpoint.")] = None,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", help="Ask no questions: take the usual value where no option is given."
        ),
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the file if it exists.")
    ] = False,
) -> None:
    """Write a node's TOML file from the answers to a few questions, or from options."""
    with node_extra():
        from infmap_kit.node.check.draft import Answers, write_draft

    def ask(given: str | int | None, option: str, question: str, usual: str | None = None) -> str:
        if given is not None:
            return str(given)
        if not yes:
            return str(typer.prompt(question, default=usual, err=True))
        if usual is None:
            raise NodeError(f"expected {option}, which has no usual value, found none")
        return usual

    def number(text: str, option: str) -> int:
        if not text.isdecimal():
            raise NodeError(f"expected a number for {option}, found {text!r}")
        return int(text)

    senders = sender or ask(
        None, "--sender", "AE titles of whoever may send, with commas between them"
    ).split(",")
    write_draft(
        file,
        Answers(
            pacs_host=ask(pacs_host, "--pacs-host", "Host name or address of the PACS"),
            pacs_port=number(
                ask(pacs_port, "--pacs-port", "DICOM port of the PACS", "104"), "--pacs-port"
            ),
            pacs_ae_title=ask(pacs_ae_title, "--pacs-ae-title", "AE title of the PACS"),
            senders=[title.strip() for title in senders],
            ae_title=ask(ae_title, "--ae-title", "AE title of this node", "INFMAP"),
            host=ask(host, "--host", "Address to listen on; 0.0.0.0 is any", "0.0.0.0"),  # noqa: S104  # asked for
            port=number(ask(port, "--port", "DICOM port of this node", "11112"), "--port"),
            spool=Path(
                ask(spool, "--spool", "Folder of what is on the way", "/var/lib/infmap-node")
            ),
            model_url=ask(model_url, "--model-url", "Model server (gRPC)", "127.0.0.1:8001"),
        ),
        replace=replace,
    )
    console.print(
        f"Wrote {file}. Next: infmap-kit node check {file}", highlight=False, soft_wrap=True
    )


@node.command(epilog="Example: `infmap-kit node check node.toml`")
def check(
    file: Annotated[Path, typer.Argument(help="The node's TOML file.")] = DEFAULT_CONFIG,
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            help="Check the file and this machine only; connect to no model and no destination.",
        ),
    ] = False,
    json_: Json = False,
) -> None:
    """Check a node's TOML file, this machine, and everything that the file names; list each fault and its fix.

    If the file itself has no fault, the command also checks folder, user, space, ports and clock. For each
    model and destination it checks host name, port, TLS, AE titles and C-ECHO, and whether it accepts what
    the rules send. Nothing is sent.
    """
    with node_extra():
        from infmap_kit.node.check.machine import look_at_machine
        from infmap_kit.node.check.reach import look_at_destinations, look_at_models
        from infmap_kit.node.check.reading import find_faults, find_notes
    faults = find_faults(file)
    notes = [] if faults else find_notes(file)
    document = {"file": str(file), "faults": faults, "notes": notes}
    looks: list[Look] = []
    if not faults:
        config = read_node(file)
        looks = list(look_at_machine(config))
        if not offline:
            looks += [*look_at_models(config), *look_at_destinations(config)]
    problems = len(faults) + _tell(file, looks, document, faults or notes, as_json=json_)
    if problems:
        raise NodeError(f"{file} has faults: {problems}")
    if not json_:
        console.print(f"{file} is good.")


@node.command("test", epilog="Example: `infmap-kit node test node.toml`")
def try_out(
    file: Annotated[Path, typer.Argument(help="The node's TOML file.")] = DEFAULT_CONFIG,
    no_radiograph: Annotated[
        bool,
        typer.Option("--no-radiograph", help="Send no radiograph: try only C-ECHO and the models."),
    ] = False,
    patience_s: Annotated[
        float, typer.Option(min=1, help="Seconds to wait for each radiograph.")
    ] = 120.0,
    json_: Json = False,
) -> None:
    """Try a running node: C-ECHO in both directions, the models, and a synthetic radiograph for each rule.

    The results are looked for in each destination by C-FIND or QIDO-RS, and removed where the destination
    allows it; otherwise the command says what remains. The patient INFMAP-TEST is not a person.
    """
    with node_extra():
        from infmap_kit.node.check.calls import look_at_callers
        from infmap_kit.node.check.look import CheckState, Look
        from infmap_kit.node.check.machine import runs
        from infmap_kit.node.check.reach import look_at_destinations, look_at_models
        from infmap_kit.node.check.trial import RuleTrial
    config = read_node(file)
    looks = [*look_at_models(config), *look_at_destinations(config)]
    if runs(config):
        looks += look_at_callers(config)
        if not no_radiograph:
            looks += RuleTrial(config, patience_s=patience_s).looks()
    else:
        looks.append(
            Look(
                key=("node",),
                what="the node",
                verdict=CheckState.FAULT,
                found=f"none runs on {config.node.spool}, or this user may not see it",
                fix="start it (systemctl start infmap-node), and call this as root or its user",
            )
        )
    if problems := _tell(file, looks, {"file": str(file)}, as_json=json_):
        raise NodeError(f"{file} has faults: {problems}")


def _tell(
    file: Path,
    looks: Sequence[Look],
    document: dict[str, Any],
    lines: Iterable[str] = (),
    *,
    as_json: bool,
) -> int:
    """Print looks, behind lines of other kinds; the number of faults among them."""
    from infmap_kit.node.check.look import CheckState
    from infmap_kit.node.check.reading import lines_in

    numbers = lines_in(file)
    if as_json:
        print_json({**document, "looks": [look.as_json(numbers) for look in looks]})
    for line in () if as_json else [*lines, *(look.told(numbers) for look in looks)]:
        console.print(line, highlight=False, soft_wrap=True)
    return sum(look.verdict is CheckState.FAULT for look in looks)
