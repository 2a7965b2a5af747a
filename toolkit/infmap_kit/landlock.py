"""Linux' Landlock: this process, and those that it starts, give up files and TCP for good.

Needs no privilege (``man 7 landlock``; Linux 5.13 for files, 6.7 for TCP). Python has no call for it.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = (1 << bit for bit in range(4))
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_READING = _EXECUTE | _READ_FILE | _READ_DIR
_DEVICES = _READING | _WRITE_FILE | _TRUNCATE | _IOCTL_DEV
# What Python, and what computes on GPUs, opens; not disks, and not shared memory, in which servers keep
# radiographs.
_USED_DEVICES = (
    *("null", "zero", "full", "random", "urandom", "tty"),
    *("nvidia*", "dri", "dxg", "kfd"),
)
# Rights that each version of the interface added to the 13 of the first: links between folders, truncating, and
# the control of devices.
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_TCP = 0b11
_SCOPES = 0b11
FIRST_WITH_TCP, _FIRST_WITH_SCOPES = 4, 6


def version() -> int:
    """The version of the kernel's interface; 0 where it has none, or has it switched off."""
    try:
        return max(0, _call(_CREATE_RULESET, None, 0, _VERSION))
    except (OSError, AttributeError):
        return 0


def restrict(*, readable: Iterable[Path], writable: Iterable[Path], tcp: bool) -> int:
    """Leave this process some folders, and few devices; nothing that it may do already becomes more.

    Parameters
    ----------
    readable
        Files and folders that can be read; what does not exist is left out.
    writable
        Folders in which everything can be done.
    tcp
        Whether TCP stays.

    Returns
    -------
    int
        The version in force; 0 for none.
    """
    here = version()
    if not here:
        return 0
    everything = (1 << _RIGHTS[min(here, max(_RIGHTS))]) - 1
    connections = 0 if tcp or here < FIRST_WITH_TCP else _TCP
    # Signals to, and abstract sockets of, processes outside.
    scopes = 0 if tcp or here < _FIRST_WITH_SCOPES else _SCOPES
    # An older kernel takes the first words alone.
    words = 1 + (here >= FIRST_WITH_TCP) + (here >= _FIRST_WITH_SCOPES)
    attributes = struct.pack(f"={words}Q", *(everything, connections, scopes)[:words])
    rules = _call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for paths, rights in (
            (readable, _READING),
            (writable, everything),
            (_devices(), _DEVICES),
        ):
            for path in paths:
                _allow(rules, path, rights & everything)
        if _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
            return 0
        _call(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)
    return here


def _devices() -> Iterator[Path]:
    for name in _USED_DEVICES:
        yield from Path("/dev").glob(name)


def _allow(rules: int, path: Path, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not path.is_dir():
            rights &= _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
        _call(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: int | bytes | None) -> int:
    libc = _libc()
    passed = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    result: int = libc.syscall(ctypes.c_long(number), *passed)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
