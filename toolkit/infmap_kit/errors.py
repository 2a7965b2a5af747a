"""Every error that a user can meet, and the exit code it ends with.

::

    InfmapError                 1  anything below that has no code of its own
    ├── InputRejected           6  a file is not a picture that can be read, or not a suitable one
    ├── SpecError               1  a run folder, a spec or a manifest says something impossible
    ├── ExportError             1  a network or a graph cannot be converted
    ├── BundleError             1  a bundle is damaged, altered, or not signed as it must be
    ├── GateFailed              3  an engine is not equivalent to its reference
    ├── HostMismatch            4  the engine or target does not fit this machine
    ├── MissingDependency       1  an optional package is needed and not installed
    ├── ServerError             1  the Triton server cannot be started or reached, or refuses
    ├── Unstable                5  a measurement did not settle
    ├── NodeError               1  the DICOM node's rules, spool or queue do not allow what was asked
    ├── ProgressionError        1  results make no course: of two patients, of two models, fewer than two
    ├── TrainingError           1  data or options with which no training can start
    ├── StudyError              1  an annotation study, or what is to go into it, is not as it must be
    └── Interrupted           130  the user ended it, and can go on where it stopped

A message says what was found, what was wanted, and the mend, in one line.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


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
        One line for people.
    found
        What was found, for scripts: plain values that JSON can hold, and no patient's data.
    file
        The file as its user named it, put before the message; ``reason`` is the message without.
    """

    exit_code = 6

    def __init__(
        self, code: str, message: str, *, found: Mapping[str, Any] | None = None, file: str = ""
    ) -> None:
        super().__init__(f"{file}: {message}" if file else message)
        self.code = code
        self.reason = message
        self.found = dict(found or {})


class SpecError(InfmapError):
    """A record (spec, manifest, run folder) is missing, damaged or contradictory."""


class ExportError(InfmapError):
    """A network or a graph cannot be converted or published."""


class BundleError(InfmapError):
    """A bundle is damaged, was altered, or is not signed by whom it must be; nothing of it was used."""


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


class ProgressionError(InfmapError):
    """Results that cannot be lined up as one patient's course."""


class TrainingError(InfmapError):
    """Training cannot start with these data or options."""


class StudyError(InfmapError):
    """An annotation study cannot be made or used as it is, or what is to go into it does not fit."""


class Interrupted(InfmapError):
    """The user pressed Ctrl-C; the message says how to go on."""

    exit_code = 130
