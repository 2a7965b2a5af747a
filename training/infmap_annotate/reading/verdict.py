"""The mask that becomes the ground truth: the rule, and the disputes that are left to a third reader.

1. A mask that more than half of the readers chose is taken.
2. When all have chosen and their choices are alike, the mask nearest to the others is taken. Two
   choices are alike when they are one mask, or both picked or both drawn with a Dice that reaches the
   study's bound.
3. Otherwise they disagree, and a third reader decides among the masks that they chose.

Readers are those of role ``first`` whose token was not revoked, and whoever has chosen.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

from infmap_annotate.study.folder import MASKS, MOST_CANDIDATES, Candidate, Study
from infmap_annotate.study.masks import decode_mask, dice


@dataclasses.dataclass(frozen=True)
class Choice:
    """The mask that one reader picked or drew for one radiograph."""

    decision_id: int
    reader_id: int
    kind: str
    candidate: Candidate


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The outcome for one radiograph.

    Parameters
    ----------
    by
        ``only reader``, ``unanimous``, ``majority``, ``alike`` or ``third reader`` when there is a
        mask; ``disputed`` while a third reader is missing, ``open`` while a first one is.
    candidate
        The mask.
    choices
        The first readers' choices.
    """

    by: str
    candidate: Candidate | None
    choices: tuple[Choice, ...]

    @property
    def disputed(self) -> tuple[Candidate, ...]:
        """Different masks that the readers chose, those of most readers first; at most six."""
        chosen = Counter(choice.candidate.sha256 for choice in self.choices)
        masks = {choice.candidate.sha256: choice.candidate for choice in reversed(self.choices)}
        return tuple(masks[sha] for sha, _ in chosen.most_common(MOST_CANDIDATES))


class Jury:
    """Settles radiographs of a study by the rule.

    Parameters
    ----------
    study
        The study; each pair of its masks is compared once.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        # Masks never change.
        self._dice = functools.lru_cache(maxsize=200_000)(self._compare)

    def verdicts(self) -> dict[int, Verdict]:
        """Verdicts on all radiographs with a choice, by number."""
        first, third = self.choices("first"), self.choices("third")
        active = "SELECT id FROM reader WHERE role = 'first' AND revoked_at IS NULL"
        voters = {row["id"] for row in self._study.query(active)}
        return {
            picture: self._settle(tuple(made.values()), voters, third.get(picture, {}))
            for picture, made in first.items()
        }

    def choices(self, role: str) -> dict[int, dict[int, Choice]]:
        """Choices of the readers of a role, by radiograph and reader; those undone are left out."""
        choices: dict[int, dict[int, Choice]] = {}
        rows = self._study.query(
            "SELECT made.id AS decision_id, made.reader_id AS by_reader, made.kind AS choice, "
            "candidate.* FROM standing AS made "
            "JOIN reader ON reader.id = made.reader_id "
            "LEFT JOIN candidate ON candidate.id = made.candidate_id "
            "WHERE reader.role = ? ORDER BY made.id",
            role,
        )
        for row in rows:
            values = dict(row)
            decision, reader, kind = (values.pop(k) for k in ("decision_id", "by_reader", "choice"))
            if kind in ("pick", "draw"):
                choice = Choice(decision, reader, kind, Candidate(**values))
                choices.setdefault(choice.candidate.picture_id, {})[reader] = choice
        return choices

    def dice(self, a: Candidate, b: Candidate) -> float:
        """Dice of two masks of one radiograph."""
        return 1.0 if a.sha256 == b.sha256 else self._dice(*sorted((a.file, b.file)))

    def _settle(
        self, choices: tuple[Choice, ...], active: set[int], third: Mapping[int, Choice]
    ) -> Verdict:
        voters = active | {choice.reader_id for choice in choices}
        sha, votes = Counter(choice.candidate.sha256 for choice in choices).most_common(1)[0]
        if 2 * votes > len(voters):
            leader = next(c.candidate for c in choices if c.candidate.sha256 == sha)
            by = "only reader" if len(voters) == 1 else "majority"
            return Verdict("unanimous" if votes == len(voters) > 1 else by, leader, choices)
        if len(choices) < len(voters):
            return Verdict("open", None, choices)
        if all(self._alike(a, b) for a, b in itertools.combinations(choices, 2)):
            return Verdict("alike", self._middle(choices), choices)
        if third:
            decided = min(third.values(), key=lambda choice: choice.decision_id)
            return Verdict("third reader", decided.candidate, choices)
        return Verdict("disputed", None, choices)

    def _alike(self, a: Choice, b: Choice) -> bool:
        if a.candidate.sha256 == b.candidate.sha256:
            return True
        # Who drew has rejected what the other picked, however near the two are.
        return a.kind == b.kind and (
            self.dice(a.candidate, b.candidate) >= self._study.rules.dice_bound
        )

    def _middle(self, choices: Sequence[Choice]) -> Candidate:
        candidates = sorted((choice.candidate for choice in choices), key=lambda c: c.id)
        return max(candidates, key=lambda c: sum(self.dice(c, other) for other in candidates))

    def _compare(self, a: str, b: str) -> float:
        masks = self._study.folder / MASKS
        return dice(*(decode_mask((masks / name).read_bytes()) for name in (a, b)))
