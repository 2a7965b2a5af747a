"""One thing that `infmap-kit doctor` looked at, and how it is."""

from __future__ import annotations

import dataclasses
import enum


class Status(enum.StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
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


def ok(name: str, sentence: str) -> Check:
    """Something is as it should be."""
    return Check(name=name, status=Status.OK, sentence=sentence)


def warning(name: str, sentence: str, mend: str) -> Check:
    """Something works, and should be looked at."""
    return Check(name=name, status=Status.WARNING, sentence=sentence, mend=mend)


def problem(name: str, sentence: str, mend: str) -> Check:
    """Something does not fit."""
    return Check(name=name, status=Status.PROBLEM, sentence=sentence, mend=mend)


def skipped(name: str, sentence: str) -> Check:
    """Something that does not matter here."""
    return Check(name=name, status=Status.SKIPPED, sentence=sentence)


def as_sentence(error: Exception) -> str:
    """What an error says, as a sentence."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def no_gpu_needed() -> Check:
    """A host without a GPU, for a target that does not miss it."""
    return skipped("GPU", "No NVIDIA GPU is here, and none is needed.")
