"""Names that files really have, or are given by somebody who means harm."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ODD_NAMES = tuple(
    map(
        os.fsdecode,
        (
            # Latin-1, as old archives have them.
            b"M\xfcller.png",
            b"\xc3\xb6" * 125 + b".png",
            b"n" * 250 + b".png",
            b"two\nlines.png",
            b"error: \x1b[2Jgone.png",
            "\u202egnp.exe.png".encode(),
            b"[red]x.png",
            b"<script>alert(1)</script>.png".replace(b"/", b"\\"),
            b"=1+1.png",
            b'a|b,c".png',
        ),
    )
)


@contextmanager
def small_disk(kib: int) -> Iterator[Path]:
    """A folder on a file system of so many KiB of its own; skips without the right to mount one."""
    with tempfile.TemporaryDirectory() as folder:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", folder],
            capture_output=True,
            check=False,
        )
        if made.returncode:
            pytest.skip("needs the right to mount a small file system")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)
