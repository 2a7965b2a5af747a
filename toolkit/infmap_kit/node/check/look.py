"""The outcome of one check of what a node's file names: what was found there, and how to mend it."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

from infmap_kit.node.check.lines import Key, line_at, name_of


class CheckState(enum.StrEnum):
    """The verdict of a check: ``NOTE`` may be unintended, ``UNTRIED`` could not be checked from here."""

    GOOD = "good"
    NOTE = "note"
    FAULT = "fault"
    UNTRIED = "untried"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """The outcome of one check of what a node's file names.

    Parameters
    ----------
    key
        Place in the file of what was looked at, or of what is to be changed.
    what
        Subject of the check, such as ``C-ECHO to pacs``.
    verdict
        Verdict of the check.
    found
        State that was found.
    fix
        Fix of the fault; empty if there is none.
    """

    key: Key
    what: str
    verdict: CheckState = CheckState.GOOD
    found: str = ""
    fix: str = ""

    def told(self, lines: Mapping[Key, int]) -> str:
        """One line for people, with the line and the key in the file."""
        line = line_at(lines, self.key)
        place = [f"line {line}", name_of(self.key)] if line else [name_of(self.key)]
        fix = f"; fix: {self.fix}" if self.fix else ""
        return f"{': '.join([self.verdict, *filter(None, place), self.what, self.found or 'yes'])}{fix}"

    def as_json(self, lines: Mapping[Key, int]) -> dict[str, Any]:
        """Return the look as a JSON document; ``line`` is ``None`` where the file has no such key."""
        return {
            "verdict": str(self.verdict),
            "line": line_at(lines, self.key) or None,
            "key": name_of(self.key),
            "what": self.what,
            "found": self.found,
            "fix": self.fix,
        }
