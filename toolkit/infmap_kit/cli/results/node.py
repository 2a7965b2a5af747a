"""`infmap-kit node`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infmap_kit.cli.app import Json, app
from infmap_kit.command import Application, console, print_json, print_result
from infmap_kit.errors import MissingDependency, NodeError

if TYPE_CHECKING:
    from infmap_kit.node.config import NodeConfig
    from infmap_kit.node.queue.database import Database

node = Application(
    help="A DICOM node beside the PACS: radiographs arrive, results go back.",
    epilog="Example: `infmap-kit node check node.toml`",
    no_args_is_help=True,
)
app.add_typer(node, name="node")

DEFAULT_CONFIG = Path("node.toml")
Config = Annotated[
    Path, typer.Option("--config", "-c", envvar="INFMAP_NODE_CONFIG", help="The node's TOML file.")
]
_Identify = Annotated[
    bool,
    typer.Option(
        "--identify", help="Show UIDs and accession numbers as they are, instead of a hash."
    ),
]
_Number = Annotated[
    int, typer.Argument(metavar="ID", help="Number of the radiograph, as `node list` shows it.")
]


@node.command(epilog="Example: `infmap-kit node run --config /etc/infmap-kit/node.toml`")
def run(config: Config = DEFAULT_CONFIG) -> None:
    """Run the node until Ctrl-C or SIGTERM. The log is written to stderr as JSON lines.

    Accepted radiographs are on disk. The node may therefore be ended or killed at any time, and continues
    where it stopped.
    """
    with node_extra():
        from infmap_kit.node.service import run_node
    run_node(read_node(config, log=True))


@node.command(epilog="Example: `infmap-kit node work --config /etc/infmap-kit/node.toml`")
def work(config: Config = DEFAULT_CONFIG) -> None:
    """Run a further worker, in a separate process, for a node on this machine."""
    with node_extra():
        from infmap_kit.node.service import run_worker
    run_worker(read_node(config, log=True))


@node.command(epilog="Example: `infmap-kit node status --json`")
def status(config: Config = DEFAULT_CONFIG, json_: Json = False) -> None:
    """Show how many radiographs are in each state. The node need not be running."""
    from infmap_kit.node.queue.tables import status_tables
    from infmap_kit.node.queue.view import overview, waiting_for
    from infmap_kit.node.spool import Spool, is_running

    read = read_node(config)
    database = database_of(read)
    spool = Spool(read.node.spool)
    seen, reasons = overview(database), waiting_for(database)
    document = {
        "running": is_running(spool),
        "spool": str(spool.folder),
        "free_mib": spool.free_bytes() >> 20,
        **seen.as_json(),
        "waiting_because": reasons,
    }
    running = "The node runs." if document["running"] else "The node does not run."
    print_result(document, running, *status_tables(seen, reasons), as_json=json_)


@node.command("list", epilog="Example: `infmap-kit node list --state failed`")
def list_(
    config: Config = DEFAULT_CONFIG,
    state: Annotated[
        str | None,
        typer.Option(
            help="State of the radiographs to list: waiting, working, delivering, done, rejected, ignored or "
            "failed."
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, help="Largest number of radiographs to list, the latest first.")
    ] = 50,
    identify: _Identify = False,
    json_: Json = False,
) -> None:
    """List radiographs, the latest first."""
    from infmap_kit.node.queue.states import State
    from infmap_kit.node.queue.tables import images_table
    from infmap_kit.node.queue.view import images

    _check_state(state, State)
    listed = images(
        database_of(read_node(config)),
        state=State(state) if state else None,
        limit=limit,
        identify=identify,
    )
    print_result(listed, images_table(listed), as_json=json_)


@node.command(epilog="Example: `infmap-kit node worklist`")
def worklist(
    config: Config = DEFAULT_CONFIG,
    limit: Annotated[
        int,
        typer.Option(
            min=1, help="Largest number of entries of each kind to show, the latest first."
        ),
    ] = 50,
    identify: _Identify = False,
    json_: Json = False,
) -> None:
    """List what needs a person's attention: failed and rejected radiographs, dead letters, refused callers."""
    from infmap_kit.node.queue.callers import refused_callers
    from infmap_kit.node.queue.tables import callers_table, images_table
    from infmap_kit.node.queue.view import worklist as to_look_at

    database = database_of(read_node(config))
    listed = to_look_at(database, limit=limit, identify=identify)
    callers = refused_callers(database, limit=limit)
    tables = [
        *([images_table(listed)] if listed else ["No radiograph needs to be looked at."]),
        *([callers_table(callers)] if callers else ["No caller was refused."]),
    ]
    print_result({"radiographs": listed, "refused_callers": callers}, *tables, as_json=json_)


@node.command(epilog="Example: `infmap-kit node show 17`")
def show(
    number: _Number,
    config: Config = DEFAULT_CONFIG,
    identify: _Identify = False,
    json_: Json = False,
) -> None:
    """Show the history of one radiograph, its results, and where each was delivered."""
    from infmap_kit.node.queue.tables import deliveries_table, history_table
    from infmap_kit.node.queue.view import image

    shown = image(database_of(read_node(config)), number, identify=identify)
    tables = [history_table(shown)]
    if shown["deliveries"]:
        tables.append(deliveries_table(shown))
    print_result(shown, *tables, as_json=json_)


@node.command(
    epilog="Examples: `infmap-kit node retry 17`, "
    '`infmap-kit node retry --state failed --because "it does not answer"`'
)
def retry(
    numbers: Annotated[
        list[int] | None,
        typer.Argument(
            metavar="[ID]...", help="Numbers of the radiographs, as `node list` shows them."
        ),
    ] = None,
    config: Config = DEFAULT_CONFIG,
    state: Annotated[
        str | None,
        typer.Option(
            help="Instead of numbers: all radiographs in this state, which is failed, rejected or ignored."
        ),
    ] = None,
    because: Annotated[
        str, typer.Option(help="With --state: only radiographs whose reason contains this text.")
    ] = "",
    json_: Json = False,
) -> None:
    """Process finished radiographs again, or send again what a destination did not take.

    A failed radiograph continues where it stopped. A rejected or ignored one is read again. The results of
    one that is done are delivered again.
    """
    from infmap_kit.node.queue.states import State
    from infmap_kit.node.queue.store import Store
    from infmap_kit.node.queue.view import to_retry

    _check_state(state, (State.FAILED, State.REJECTED, State.IGNORED))
    if bool(numbers) == (state is not None) or (because and state is None):
        raise NodeError("expected numbers, or --state with or without --because")
    store = Store(database_of(read_node(config)))
    retried: dict[int, str] = {}
    problems: list[str] = []
    for number in numbers or to_retry(store.database, State(state or ""), because):
        # What another took up in between, or is none, keeps no other from being taken up.
        try:
            retried[number] = store.retry(number)
        except NodeError as error:
            problems.append(str(error))
    if json_:
        print_json({"retried": retried, "problems": problems})
    elif state is None:
        for number, now in retried.items():
            console.print(f"Radiograph {number} is {now}.")
    else:
        console.print(f"Taken up again: {len(retried)}.")
    if problems:
        raise NodeError("; ".join(problems))


@node.command("watch-folder", epilog="Example: `infmap-kit node watch-folder /srv/inbox`")
def watch_folder(
    folder: Annotated[Path, typer.Argument(help="Folder in which other programs put DICOM files.")],
    config: Config = DEFAULT_CONFIG,
    every_s: Annotated[
        float, typer.Option(min=0.1, help="Seconds between two looks into the folder.")
    ] = 1.0,
    settle_s: Annotated[
        float,
        typer.Option(
            min=0, help="Seconds for which a file must not have changed before it is taken."
        ),
    ] = 3.0,
    patience_s: Annotated[
        float,
        typer.Option(
            min=0,
            help="Seconds after which a file that is cut short, unreadable or still open is treated as it is.",
        ),
    ] = 60.0,
) -> None:
    """Take DICOM files that other programs put into a folder, until Ctrl-C or SIGTERM.

    In the rules, FOLDER is the caller of these files. Accepted files are moved to accepted/, others to
    refused/, each with the reason beside it. Folders, links, hidden files and names such as *.part, *.tmp
    and *~ are ignored.
    """
    from infmap_kit.node.audit.trail import Trail
    from infmap_kit.node.intake import Intake
    from infmap_kit.node.log import log_to_stderr
    from infmap_kit.node.queue.store import Store
    from infmap_kit.node.spool import Spool
    from infmap_kit.node.watch_folder import WatchFolder
    from infmap_kit.triton.server.signals import ending_on_sigterm

    read = read_node(config)
    store = Store(database_of(read, make=True))
    keep_free_bytes = read.limits.keep_free_mb << 20
    intake = Intake(
        Spool(read.node.spool), store, keep_free_bytes=keep_free_bytes, trail=Trail(read)
    )
    watched = WatchFolder(
        folder,
        intake,
        max_object_bytes=read.limits.max_object_mb << 20,
        settle_s=settle_s,
        patience_s=patience_s,
    )
    log_to_stderr()
    with ending_on_sigterm():
        watched.watch(every_s=every_s)


def _check_state(state: str | None, known: Iterable[str]) -> None:
    if state is not None and state not in list(known):
        raise NodeError(f"expected --state to be one of {', '.join(known)}, found {state!r}")


def read_node(path: Path, *, log: bool = False) -> NodeConfig:
    """Read a node's file; with ``log``, the node's events go to stderr from then on."""
    with node_extra():
        from infmap_kit.node.check.reading import read_config
        from infmap_kit.node.log import log_to_stderr
    config = read_config(path)
    if log:
        log_to_stderr()
    return config


def database_of(config: NodeConfig, *, make: bool = False) -> Database:
    """The queue of a node, whether it runs or not; with ``make``, an empty one where none is.

    Raises
    ------
    NodeError
        When there is none, and it cannot be used.
    """
    from infmap_kit.node.queue.database import Database
    from infmap_kit.node.spool import Spool

    path = config.node.spool / "node.db"
    if not make and not path.is_file():
        raise NodeError(f"no node has run on {config.node.spool} yet: start `infmap-kit node run`")
    return Database(Spool(config.node.spool).database)


@contextlib.contextmanager
def node_extra() -> Iterator[None]:
    """Name the extra that brings what an import in the block lacks."""
    try:
        yield
    except ImportError as error:
        raise MissingDependency(
            f"the node needs {error.name}, which is not installed: pip install 'infmap-kit[node]'"
        ) from error
