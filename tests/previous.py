"""What the state before published, unpacked for tests; see ``tests/data/README.md``."""

from __future__ import annotations

import tarfile
from pathlib import Path

ARCHIVE = Path(__file__).parent / "data" / "previous" / "previous.tar.xz"


def unpack_previous(folder: Path) -> Path:
    """Unpack a copy of it all into ``folder``, to be worked on."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    return folder
