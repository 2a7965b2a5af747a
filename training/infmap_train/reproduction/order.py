"""The order for one training, and the lock that keeps two trainings out of one folder."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infmap_kit.errors import TrainingError
from infmap_kit.model.spec import NetworkSpec
from infmap_kit.model.typed import typed
from infmap_train.options import FitOptions

_LOOK_S = 0.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOrder:
    """One training, as it is sent to a worker and to the process that trains.

    Parameters
    ----------
    network, options
        As for :func:`infmap_train.training.fit.fit`.
    data
        Folder of the data, under the same path everywhere.
    run
        Its run folder, under the same path everywhere.
    gpu
        Whether it takes a GPU; else it is to see none.
    data_licence
        Licence of the data.
    """

    network: NetworkSpec
    options: FitOptions
    data: str
    run: str
    gpu: bool
    data_licence: str

    @property
    def log(self) -> Path:
        """The path of the training's log."""
        return Path(f"{self.run}.log")

    @classmethod
    def of(cls, document: dict[str, Any]) -> TrainingOrder:
        """The order of a JSON object."""
        where = "the order of a training"
        network = typed(NetworkSpec, document.pop("network"), where)
        options = typed(FitOptions, document.pop("options"), where)
        return typed(cls, document, where, network=network, options=options)


@contextlib.contextmanager
def locked(path: Path, *, patience_s: float, busy: str) -> Iterator[None]:
    """Hold a lock file while others that want it wait or are refused; it ends with the process.

    Parameters
    ----------
    patience_s
        Seconds to wait for the process that holds it.
    busy
        Message if that is not enough.

    Raises
    ------
    TrainingError
        When somebody else holds it, or the file system knows no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    until_s = time.monotonic() + patience_s
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until_s:
                    raise TrainingError(busy) from None
            except OSError as error:
                raise TrainingError(
                    f"{path} cannot be locked ({os.strerror(error.errno or 0)}): choose a folder on a file "
                    "system with locks, such as NFS 4"
                ) from error
            time.sleep(_LOOK_S)
        yield
