"""The checks of `infmap-kit doctor`, and how they ended."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence

from infmap_kit.report.table import Table, Toned


class Status(enum.StrEnum):
    """The outcome of a check."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclasses.dataclass(frozen=True, kw_only=True)
class HostCheck:
    """A part of the host or of the repository, and whether it fits.

    Parameters
    ----------
    name
        The part.
    status
        The outcome of the check.
    sentence
        The finding, as a sentence.
    fix
        The step that gets it right; empty when there is nothing to do.
    """

    name: str
    status: Status
    sentence: str
    fix: str = ""

    def as_json(self) -> dict[str, str]:
        """The check for scripts, which know the fix as ``mend``."""
        document: dict[str, str] = dataclasses.asdict(self)
        document["mend"] = document.pop("fix")
        return document


def ok(name: str, sentence: str) -> HostCheck:
    """Something is as it should be."""
    return HostCheck(name=name, status=Status.OK, sentence=sentence)


def warning(name: str, sentence: str, fix: str) -> HostCheck:
    """Something works, and should be looked at."""
    return HostCheck(name=name, status=Status.WARNING, sentence=sentence, fix=fix)


def problem(name: str, sentence: str, fix: str) -> HostCheck:
    """Something does not fit."""
    return HostCheck(name=name, status=Status.PROBLEM, sentence=sentence, fix=fix)


def skipped(name: str, sentence: str) -> HostCheck:
    """Something does not matter here."""
    return HostCheck(name=name, status=Status.SKIPPED, sentence=sentence)


def as_sentence(error: Exception) -> str:
    """The message of an error as a sentence."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def no_gpu_needed() -> HostCheck:
    """The check of a GPU on a host without one, for a target that needs none."""
    return skipped("GPU", "No NVIDIA GPU is here, and none is needed.")


_TONES = {"ok": "good", "warning": "warning", "problem": "bad", "skipped": "soft"}


def checks_table(checks: Sequence[HostCheck]) -> Table:
    """A table with a row for each check: the finding, and the fix."""
    rows = [
        (Toned(check.status, _TONES[check.status]), check.name, check.sentence, check.fix)
        for check in checks
    ]
    return Table("", ("", "what", "found", "fix"), rows, words=("found", "fix"))
