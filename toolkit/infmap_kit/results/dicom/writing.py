"""The use of highdicom, which may be missing, and whose warnings may quote a patient."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from infmap_kit.errors import InfmapError, InputRejected, MissingDependency
from infmap_kit.imaging.dicom.quiet import quiet
from infmap_kit.imaging.radiograph import Reason


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Surround everything that calls highdicom, and translate its errors.

    Raises
    ------
    MissingDependency
        When highdicom is not installed.
    InputRejected
        ``unwritable`` when highdicom refuses what the source's tags say.
    """
    with quiet():
        try:
            import highdicom  # noqa: F401  # so that one place says what to install
        except ImportError as error:
            raise MissingDependency(
                "writing DICOM needs highdicom, which is not installed: pip install 'infmap-kit[dicom]'"
            ) from error
        try:
            yield
        except InfmapError:
            raise
        except Exception as error:
            # highdicom names no closed set of errors, and its messages may quote a patient's name.
            raise InputRejected(
                Reason.UNWRITABLE,
                "expected a radiograph that DICOM results can be made for, found tags that highdicom "
                f"refuses ({type(error).__name__})",
            ) from error
