"""Using highdicom: it may be missing, and it must not speak of patients."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from infmap_kit.errors import MissingDependency
from infmap_kit.imaging.quiet import quiet


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Everything that calls highdicom happens in here.

    Raises
    ------
    MissingDependency
        When highdicom is not installed.
    """
    with quiet():
        try:
            import highdicom  # noqa: F401  # so that one place says what to install
        except ImportError as error:
            raise MissingDependency(
                "writing DICOM needs highdicom, which is not installed: pip install 'infmap-kit[dicom]'"
            ) from error
        yield
