"""One thing that `infmap-kit doctor` looked at, and how it is."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence

from infmap_kit.report.table import Table, Toned


class Status(enum.StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclasses.dataclass(frozen=True, kw_only=True)
class HostCheck:
    """One thing that was looked at.

    Parameters
    ----------
    name
        What.
    status
        How it is.
    sentence
        What was found.
    mend
        What to do; empty when there is nothing to do.
    """

    name: str
    status: Status
    sentence: str
    mend: str = ""


def ok(name: str, sentence: str) -> HostCheck:
    """Something is as it should be."""
    return HostCheck(name=name, status=Status.OK, sentence=sentence)


def warning(name: str, sentence: str, mend: str) -> HostCheck:
    """Something works, and should be looked at."""
    return HostCheck(name=name, status=Status.WARNING, sentence=sentence, mend=mend)


def problem(name: str, sentence: str, mend: str) -> HostCheck:
    """Something does not fit."""
    return HostCheck(name=name, status=Status.PROBLEM, sentence=sentence, mend=mend)


def skipped(name: str, sentence: str) -> HostCheck:
    """Something that does not matter here."""
    return HostCheck(name=name, status=Status.SKIPPED, sentence=sentence)


def as_sentence(error: Exception) -> str:
    """What an error says, as a sentence."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def no_gpu_needed() -> HostCheck:
    """A host without a GPU, for a target that does not miss it."""
    return skipped("GPU", "No NVIDIA GPU is here, and none is needed.")


_TONES = {"ok": "good", "warning": "warning", "problem": "bad", "skipped": "soft"}


def checks_table(checks: Sequence[HostCheck]) -> Table:
    """One row a check: what was found, and what to do."""
    rows = [
        (Toned(check.status, _TONES[check.status]), check.name, check.sentence, check.mend)
        for check in checks
    ]
    return Table("", ("", "what", "found", "mend"), rows, words=("found", "mend"))
