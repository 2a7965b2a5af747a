"""The surroundings that a server cannot start without: open files, a locale, paths that it can be told.

Where one of these is missing Triton hangs, or its Python ends, and neither says why.
"""

from __future__ import annotations

import locale
import os
import resource
import sysconfig

from infmap_kit.errors import ServerError

LOCALE = "C.UTF-8"
"""The stub's Python would read paths as ASCII in the C locale."""

_MIN_OPEN_FILES = 1024


def require_surroundings() -> None:
    """Refuse to start a server where it would not come up, nor say why.

    Raises
    ------
    ServerError
        Naming what is missing, and the fix.
    """
    require_open_files()
    require_locale()
    packages_path()


def require_open_files() -> None:
    """Refuse a limit of open files at which the server hangs without a word."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < _MIN_OPEN_FILES:
        raise ServerError(
            f"expected {_MIN_OPEN_FILES} open files or more to be allowed, found {hard}: raise the limit "
            "(ulimit -n, or LimitNOFILE= of systemd)"
        )


def require_locale() -> None:
    """Refuse a system without the locale in which the server can read every path."""
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, LOCALE)
    except locale.Error as error:
        raise ServerError(
            f"expected the locale {LOCALE} on this system, found none: bring it (Debian: apt install "
            "libc-bin; elsewhere: localedef -i C -f UTF-8 C.UTF-8)"
        ) from error
    finally:
        locale.setlocale(locale.LC_CTYPE, before)


def packages_path() -> str:
    """The folders of this Python's packages, as ``PYTHONPATH`` for the Python inside the server.

    Raises
    ------
    ServerError
        When a folder has a colon in its name, which ends it there.
    """
    folders = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
    for folder in folders:
        if os.pathsep in folder:
            raise ServerError(
                f"expected this Python's packages in a folder without {os.pathsep!r} in its name, found "
                f"{folder}: make the environment in another folder"
            )
    return os.pathsep.join(folders)
