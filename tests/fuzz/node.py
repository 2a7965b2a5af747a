"""A node that listens, for fuzzing what comes to its port."""

from __future__ import annotations

import logging
from pathlib import Path

from infmap_kit.node.check.reading import read_config
from infmap_kit.node.dicom.receiver import Receiver
from infmap_kit.node.dicom.refusals import Refusals
from infmap_kit.node.intake import Intake
from infmap_kit.node.log import Troubles
from infmap_kit.node.queue.database import Database
from infmap_kit.node.queue.store import Store
from infmap_kit.node.spool import Spool
from infmap_kit.serving.server import free_port
from node_host import CALLER
from pdus import association_request


def listening_node(folder: Path) -> tuple[int, bytes]:
    """A receiver without a worker.

    Returns
    -------
    tuple
        Its port, and a request for an association that it takes.
    """
    logging.disable()
    port, path = free_port(), folder / "node.toml"
    path.write_text(
        f'[node]\nspool = "spool"\nport = {port}\n'
        "[limits]\nmax_object_mb = 4\nidle_s = 3\nassociations_per_minute = 1000000\n"
        f'[[callers]]\nae_title = "{CALLER}"\n[[models]]\nname = "covid"\n'
        '[[destinations]]\nname = "pacs"\nkind = "c-store"\nhost = "pacs"\nport = 104\n'
        'ae_title = "PACS"\n[[rules]]\nname = "all"\nmodel = "covid"\nto = ["pacs"]\n'
    )
    spool = Spool(folder / "spool")
    intake = Intake(spool, Store(Database(spool.database)), keep_free_bytes=2**20)
    Receiver(read_config(path), intake, troubles=Troubles(), refusals=Refusals())
    return port, association_request()
