"""The faults of a data set, reported together, with one line for each reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from infmap_kit.errors import TrainingError

_MAX_NAMES, _MAX_LINES = 10, 20


class Problem(NamedTuple):
    """A reason why data cannot be trained on, and the radiograph whose fault it is, if it is one's."""

    reason: str
    name: str = ""


class UnfitData(TrainingError):
    """Data that cannot be trained on as they are; of one reason with many radiographs one line is told.

    Parameters
    ----------
    problems
        All of them.
    usable
        The samples without a problem of their own, so that a later step can look for more.
    """

    def __init__(self, problems: Sequence[Problem], usable: Sequence[Any] = ()) -> None:
        lines = "\n  ".join(grouped(problems))
        super().__init__(f"{len(problems)} problem(s) in the data:\n  {lines}")
        self.problems = list(problems)
        self.usable = list(usable)


def grouped(problems: Sequence[Problem]) -> list[str]:
    """A line for each reason, with the first of its radiographs."""
    names: dict[str, list[str]] = {}
    for problem in problems:
        names.setdefault(problem.reason, []).append(problem.name)
    lines = []
    for reason, of_it in names.items():
        if len(of_it) == 1:
            lines.append(f"{of_it[0]}: {reason}" if of_it[0] else reason)
        else:
            more = f" and {len(of_it) - _MAX_NAMES} more" if len(of_it) > _MAX_NAMES else ""
            lines.append(f"{reason} ({len(of_it)}): {', '.join(of_it[:_MAX_NAMES])}{more}")
    if len(lines) > _MAX_LINES:
        lines[_MAX_LINES:] = [f"and {len(lines) - _MAX_LINES} more of other kinds"]
    return lines


def refuse(problems: Sequence[Problem], usable: Sequence[Any] = ()) -> None:
    """Raise ``UnfitData`` that names all problems, if there are any."""
    if problems:
        raise UnfitData(problems, usable)
