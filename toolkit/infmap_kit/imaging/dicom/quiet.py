"""Keeping the DICOM libraries quiet.

Their warnings quote the values that they find odd, and those may be a patient's name.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator

_LIBRARIES = ("pydicom", "highdicom", "pylibjpeg", "pynetdicom")

_lock = threading.Lock()
_depth = 0
_restore = contextlib.ExitStack()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop warnings and log records of the DICOM libraries meanwhile.

    Uses are counted, because the end of ``warnings.catch_warnings`` in a thread lets all others warn again.
    """
    global _depth, _restore
    with _lock:
        if _depth == 0:
            _restore = _silenced()
        _depth += 1
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            if _depth == 0:
                _restore.close()


def _silenced() -> contextlib.ExitStack:
    # Its import sets its logger's level, and so comes first; without it nothing is to be silenced.
    with contextlib.suppress(ImportError):
        import pydicom  # noqa: F401
    stack = contextlib.ExitStack()
    stack.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        stack.callback(logger.setLevel, logger.level)
        logger.setLevel(logging.CRITICAL + 1)
    return stack
