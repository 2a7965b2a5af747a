"""A first file for a node, from a few answers."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path

from infmap_kit.errors import NodeError
from infmap_kit.node.check.reading import find_faults


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answers:
    """The settings of a node's file for which there is no sensible default.

    Parameters
    ----------
    pacs_host, pacs_port, pacs_ae_title
        The PACS that the results go to by C-STORE.
    senders
        AE titles of whoever may send; the PACS is added, so that its C-ECHO is answered.
    ae_title, host, port
        The node's own, as the PACS and the senders are told.
    spool
        Folder of what is on the way.
    model_url
        ``host:port`` of the model server's gRPC endpoint.
    """

    pacs_host: str
    pacs_port: int
    pacs_ae_title: str
    senders: Sequence[str]
    ae_title: str
    host: str
    port: int
    spool: Path
    model_url: str


def write_draft(path: Path, answers: Answers, *, replace: bool) -> None:
    """Write a node's file, of which :func:`~infmap_kit.node.check.reading.find_faults` finds none.

    One that is replaced leaves its owner and mode to the new one: the node's user must be able to read it.

    Raises
    ------
    NodeError
        When it is there and not to be replaced, or the answers make no good file.
    """
    before = path.stat() if path.exists() else None
    if before is not None and not replace:
        raise NodeError(f"{path} is there already: --replace writes another in its place")
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(_text(answers), encoding="utf-8")
        if faults := find_faults(part):
            raise NodeError("\n  ".join(["the answers make no good file:", *faults]))
        if before is not None:
            os.chown(part, before.st_uid, before.st_gid)
            part.chmod(before.st_mode & 0o777)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _text(answers: Answers) -> str:
    titles = list(dict.fromkeys([*answers.senders, answers.pacs_ae_title]))
    callers = "\n".join(f"[[callers]]\nae_title = {_string(title)}" for title in titles)
    return f"""\
# The node: docs/node.md names every key. After a change:
#   infmap-kit node check FILE
#   systemctl restart infmap-node
[node]
spool = {_string(str(answers.spool))}
ae_title = {_string(answers.ae_title)}
host = {_string(answers.host)}
port = {answers.port}

# Whoever may send, and whoever may ask with a C-ECHO: the PACS too, under its own AE title.
{callers}

[[models]]
name = "covid"
url = {_string(answers.model_url)}

[[destinations]]
name = "pacs"
kind = "c-store"
host = {_string(answers.pacs_host)}
port = {answers.pacs_port}
ae_title = {_string(answers.pacs_ae_title)}

[[rules]]
name = "chest"
modalities = ["CR", "DX"]
body_parts = ["CHEST", ""]
model = "covid"
outputs = ["sc", "seg", "sr"]
to = ["pacs"]
"""


def _string(text: str) -> str:
    """A basic string of TOML, which is written like one of JSON."""
    return json.dumps(text, ensure_ascii=False)
