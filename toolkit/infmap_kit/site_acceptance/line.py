"""The lines of an acceptance report: what was expected, what was found, and the outcome."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable

from infmap_kit.targets.check import HostCheck, Status

NEEDS_A_GPU = "needs a GPU, and none is here"
"""The reason of everything about a GPU on a host without one."""

NO_GPU_NEEDED = "this repository needs no GPU"
"""The reason of everything about a GPU where the repository's models run on the CPU."""


class AcceptanceOutcome(enum.StrEnum):
    """The outcome of a line. What was not run never counts as passed."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AcceptanceLine:
    """One line of the report.

    Parameters
    ----------
    name
        The thing that was looked at.
    expected, found
        A sentence or figure each; of a line that was not run, ``found`` is the reason.
    outcome
        Outcome of the line.
    required
        Whether the host cannot be accepted while this line is not run: where the repository needs it.
    """

    name: str
    expected: str
    found: str
    outcome: AcceptanceOutcome
    required: bool = True

    @property
    def stands_in_the_way(self) -> bool:
        """Whether the host cannot be accepted because of this line."""
        return self.outcome is AcceptanceOutcome.FAILED or (
            self.outcome is AcceptanceOutcome.NOT_RUN and self.required
        )


def judged(name: str, expected: str, found: str, *, good: bool) -> AcceptanceLine:
    """A line that passed where ``good``, and failed otherwise."""
    outcome = AcceptanceOutcome.PASSED if good else AcceptanceOutcome.FAILED
    return AcceptanceLine(name=name, expected=expected, found=found, outcome=outcome)


def not_run(name: str, expected: str, reason: str, *, required: bool = True) -> AcceptanceLine:
    """A line about something that could not be looked at."""
    return AcceptanceLine(
        name=name,
        expected=expected,
        found=reason,
        outcome=AcceptanceOutcome.NOT_RUN,
        required=required,
    )


def line_of_check(check: HostCheck, expected: str = "as the repository needs it") -> AcceptanceLine:
    """The line of a check of `infmap-kit doctor`; a warning passes and says what to look at."""
    if check.status is Status.SKIPPED:
        return not_run(check.name, expected, f"Not needed. {check.sentence}", required=False)
    good = check.status is not Status.PROBLEM
    found = f"{check.sentence} {check.fix}".strip()
    return judged(check.name, expected, found, good=good)


def reasons_of(lines: Iterable[AcceptanceLine]) -> list[str]:
    """The reasons why a host is not accepted, a sentence for each line in the way."""
    return [
        f"{line.name}: {line.outcome}. Expected: {line.expected}. Found: {line.found}"
        if line.outcome is AcceptanceOutcome.FAILED
        else f"{line.name}: not run, although this repository needs it: {line.found}"
        for line in lines
        if line.stands_in_the_way
    ]
