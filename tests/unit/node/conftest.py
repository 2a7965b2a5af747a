"""A spool with a way in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from infmap_kit.node.intake import Intake
from infmap_kit.node.queue.database import Database
from infmap_kit.node.queue.store import Store
from infmap_kit.node.spool import Spool
from node_host import radiograph_file

MakeFile = Callable[..., Path]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def store(spool: Spool) -> Store:
    return Store(Database(spool.database))


@pytest.fixture
def intake(spool: Spool, store: Store) -> Intake:
    return Intake(spool, store, keep_free_bytes=2**20)


@pytest.fixture
def make_file(tmp_path: Path) -> MakeFile:
    """Writes a small CR file, by number and with tags of one's choice."""

    def make(number: int = 1, *, folder: Path = tmp_path, brightness: int = 0, **tags: str) -> Path:
        pixels = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64) + np.uint8(brightness)
        return radiograph_file(folder, pixels, number, **tags)

    return make
