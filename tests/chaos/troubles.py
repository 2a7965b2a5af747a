"""What else goes wrong while something is killed: the disk, permissions, the clock, the network."""

from __future__ import annotations

import contextlib
import enum
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from chaos.clock import TEN_YEARS_S
from chaos.relay import Cut, Relay

DISK_MIB = 96


class Trouble(enum.StrEnum):
    """One at a time, or none."""

    NONE = "none"
    FULL_DISK = "full disk"
    NO_PERMISSION = "permissions revoked"
    CLOCK_AHEAD = "clock ten years ahead"
    NETWORK_CUT = "network cut"


def small_disk(folder: Path) -> bool:
    """Mount a small disk at a new folder; whether that is allowed here."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def unmount(folder: Path) -> None:
    """Take a small disk away."""
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)


@contextlib.contextmanager
def full_disk(disk: Path, chance: random.Random) -> Iterator[None]:
    """Fill a disk but for a little: most of what is written meanwhile does not fit, or not whole."""
    ballast = disk / ".ballast"
    spare = shutil.disk_usage(disk).free - chance.choice((0, 4, 40, 400)) * 1024
    try:
        ballast.write_bytes(b"\0" * max(spare, 0))
        yield
    finally:
        ballast.unlink(missing_ok=True)


@contextlib.contextmanager
def no_permission(folder: Path) -> Iterator[None]:
    """Let nothing be made or removed in a folder, nor in those in it."""
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    modes = [(path, path.stat().st_mode & 0o7777) for path in folders]
    try:
        for path, mode in modes:
            path.chmod(mode & ~0o222)
        yield
    finally:
        for path, mode in modes:
            if path.is_dir():
                path.chmod(mode)


@contextlib.contextmanager
def clock_ahead(offset_s: Path) -> Iterator[None]:
    """Let the clock of processes that look at a file be ten years ahead."""
    try:
        offset_s.write_text(str(TEN_YEARS_S))
        yield
    finally:
        offset_s.unlink()


@contextlib.contextmanager
def network_cut(relay: Relay, chance: random.Random) -> Iterator[None]:
    """Cut the network to one destination."""
    relay.cut(chance.choice(list(Cut)))
    try:
        yield
    finally:
        relay.mend()
