"""What takes long to make, made once for all workers side by side, and read by all of them."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

MadeOnce: TypeAlias = Callable[[str, Callable[[Path], object]], Path]
"""``made_once(name, make)``: the folder of that name, filled by ``make`` here or in another worker."""


def folders_in(base: Path) -> MadeOnce:
    """Make folders in ``base``, each once; whoever wants one that is just being made waits for it."""

    def made_once(name: str, make: Callable[[Path], object]) -> Path:
        folder, beside = base / f"once-{name}", base / f"making-{name}"
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                shutil.rmtree(beside, ignore_errors=True)
                make(beside)
                beside.rename(folder)
        return folder

    return made_once
