"""Every error that a user can meet, and the exit code it ends with: 1 where a class has none of its own.

A message says what was found, what was expected, and the fix, in one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infmap_kit.text import one_line


class InfmapError(Exception):
    """Root of the tree; ``exit_code`` is what a command ends with."""

    exit_code = 1


class InputRejected(InfmapError):
    """A file that is refused as input.

    Parameters
    ----------
    code
        Short machine-readable reason, such as ``"too-small"``.
    message
        One line for people; the attribute ``reason``.
    found
        The values that were found, for scripts: plain ones that JSON can hold, and no patient's data.
    file
        The file as its user named it, put before the message.
    """

    exit_code = 6

    def __init__(
        self, code: str, message: str, *, found: Mapping[str, Any] | None = None, file: str = ""
    ) -> None:
        super().__init__(f"{one_line(file)}: {message}" if file else message)
        self.code = code
        self.reason = message
        self.found = dict(found or {})


class SpecError(InfmapError):
    """A record (spec, manifest, run folder) is missing, damaged or contradictory."""


class ExportError(InfmapError):
    """A network or a graph cannot be converted or published."""


class BundleError(InfmapError):
    """A bundle is damaged, was altered, or is not signed as it must be; nothing of it was used."""


class GateFailed(InfmapError):
    """An engine does not decide as its reference does; nothing was published."""

    exit_code = 3


class HostMismatch(InfmapError):
    """The machine cannot build or run what was asked for."""

    exit_code = 4


class MissingDependency(InfmapError):
    """An optional package is needed; the message names the extra that brings it."""


class ServerError(InfmapError):
    """The Triton server cannot be started, reached, or refuses a request."""


class Unstable(InfmapError):
    """A measurement did not settle by the stated rule."""

    exit_code = 5


class NodeError(InfmapError):
    """The DICOM node cannot start with these rules or on this spool, or its queue has no such entry."""


class ViewError(InfmapError):
    """Results that cannot be shown, or an opinion of one that cannot be kept."""


class ProgressionError(InfmapError):
    """Results that cannot be lined up as one patient's course."""


class TrainingError(InfmapError):
    """Training cannot start with these data or options."""


class StudyError(InfmapError):
    """An annotation study cannot be made or used as it is, or what is to go into it does not fit."""


class Interrupted(InfmapError):
    """The user pressed Ctrl-C; the message says how to go on."""

    exit_code = 130
