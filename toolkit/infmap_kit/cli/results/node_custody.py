"""`infmap-kit node forget`, `backup` and `restore`: what people do with a node's folder besides running it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from infmap_kit.cli.app import Json
from infmap_kit.cli.results.node import DEFAULT_CONFIG, Config, database_of, node, read_node
from infmap_kit.command import console, print_result
from infmap_kit.errors import NodeError


@node.command(
    epilog="Examples: `infmap-kit node forget --patient-id PAT-4711 --dry-run`, "
    "`infmap-kit node forget --accession-number 20261122017`"
)
def forget(
    config: Config = DEFAULT_CONFIG,
    patient_id: Annotated[
        str | None, typer.Option(help="Patient ID; - reads it from standard input.")
    ] = None,
    accession_number: Annotated[
        str | None, typer.Option(help="Accession number; - reads it from standard input.")
    ] = None,
    study_uid: Annotated[
        str | None, typer.Option(help="Study Instance UID, or its hash as the logs show it.")
    ] = None,
    instance_uid: Annotated[
        str | None, typer.Option(help="SOP Instance UID of one radiograph, or its hash.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be removed, and remove nothing.")
    ] = False,
    json_: Json = False,
) -> None:
    """Remove everything that the node holds about one patient. The node may be running.

    Radiographs, results and their entries in the queue are removed permanently. Nothing is removed while
    one of the radiographs is waiting, being processed or being delivered. After an interruption, the same
    command completes the removal.
    """
    read = read_node(config)
    from infmap_kit.node.audit.trail import Trail
    from infmap_kit.node.custody.forgetting import Name, find, forget_all
    from infmap_kit.node.queue.tables import held_table
    from infmap_kit.node.spool import Spool

    given = {
        Name.PATIENT: patient_id,
        Name.ACCESSION: accession_number,
        Name.STUDY: study_uid,
        Name.INSTANCE: instance_uid,
    }
    named = [(name, value) for name, value in given.items() if value is not None]
    if len(named) != 1:
        raise NodeError(
            "expected one of --patient-id, --accession-number, --study-uid and --instance-uid, found "
            f"{len(named)}"
        )
    ((name, value),) = named
    if value == "-":
        value = sys.stdin.readline().strip()
    database, spool = database_of(read), Spool(read.node.spool)
    trail = Trail(read)
    if dry_run:
        found = find(spool, database, name, value)
    else:
        found = forget_all(spool, database, name, value, trail=trail)
    done = "Would be forgotten" if dry_run else "Forgotten"
    size = f"{len(found.files)} files, {found.size_bytes / 2**20:.1f} MiB"
    sentences = [f"{done}: {len(found.radiographs)} radiographs, {size}."]
    if found.unknown:
        listed = ", ".join(map(str, found.unknown))
        sentences.append(f"Whose these are cannot be said, for their files are gone: {listed}.")
    if trail.trouble:
        sentences.append(f"Not in the audit log: {trail.trouble}.")
    tables = [held_table(found.radiographs)] if found.radiographs else []
    print_result(found.as_json(dry_run=dry_run), *tables, *sentences, as_json=json_)


@node.command(epilog="Example: `infmap-kit node backup /backup/node-2026-11-28.tar`")
def backup(
    file: Annotated[Path, typer.Argument(help="The backup to write.")],
    config: Config = DEFAULT_CONFIG,
    json_: Json = False,
) -> None:
    """Write queue, radiographs, results, node.toml and audit log into one tar file. The node may be running.

    The file contains patients' data: protect it accordingly. It does not contain the certificates, keys and
    tokens that node.toml names.
    """
    read = read_node(config)
    from infmap_kit.node.audit.trail import Trail
    from infmap_kit.node.custody.backup import back_up

    database_of(read).close()
    saved = back_up(read, config, file)
    Trail(read).backed_up(file)
    print_result(
        {"file": str(file), **saved.as_json()},
        f"Wrote {file}: {saved.images} radiographs, of which {saved.unfinished} are on the way, and "
        f"{saved.results} results; {saved.size_bytes / 2**20:.1f} MiB.",
        as_json=json_,
    )


@node.command(
    epilog="Example: `infmap-kit node restore node-2026-11-28.tar --config /etc/infmap-kit/node.toml`"
)
def restore(
    file: Annotated[Path, typer.Argument(help="File that `node backup` wrote.")],
    config: Config = DEFAULT_CONFIG,
    json_: Json = False,
) -> None:
    """Restore a backup into the empty folder that node.toml names as the spool. Then start the node.

    If there is no node.toml yet, the one in the backup is written. The hash of every file is checked before
    any file is put in place. A folder that a node has used is refused.
    """
    from infmap_kit.node.audit.trail import Trail
    from infmap_kit.node.custody import restore as restoring

    if not config.exists():
        restoring.take_config(file, config)
        console.print(f"Wrote {config} out of the backup.", highlight=False, soft_wrap=True)
    read = read_node(config)
    restored = restoring.restore(file, read)
    Trail(read).restored(file)
    print_result(
        {"spool": str(read.node.spool), **restored},
        f"Restored into {read.node.spool}: {restored['images']} radiographs and {restored['results']} "
        f"results, as of {restored['made_at'][:19]} UTC.",
        as_json=json_,
    )
