"""One figure that an engine is held to, with its bound and the sentence that says why it fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

COUNTED_PIXELS = 50
"""Masks of fewer pixels have no bound of their own: their Dice changes by a large share with any pixel."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """One comparison of an engine with its reference.

    Reports in Markdown, on the terminal and in JSON are made of these.

    Parameters
    ----------
    key
        Name of the value in JSON; empty for a check without a value.
    value
        Value that was measured.
    label, text
        The value's row in a table, and the value as it stands there; empty for a check that only failure shows.
    at_least, at_most
        Bound of the value; ``None`` for a figure that is reported without a bound.
    reason
        Why the engine is not equivalent: counts where the value is beyond its bound, or where there is no bound
        and something to say.
    """

    key: str = ""
    value: float | int = 0
    label: str = ""
    text: str = ""
    at_least: float | None = None
    at_most: float | None = None
    reason: str = ""

    @property
    def bound(self) -> str:
        """The bound in words, such as ``at least 0.999``; empty without one."""
        if self.at_least is not None:
            return f"at least {self.at_least}"
        return "" if self.at_most is None else f"at most {self.at_most}"

    @property
    def failed(self) -> bool:
        """Whether the engine is not equivalent."""
        if self.at_least is None and self.at_most is None:
            return bool(self.reason)
        too_low = self.at_least is not None and self.value < self.at_least
        too_high = self.at_most is not None and self.value > self.at_most
        return bool(self.reason) and (too_low or too_high)


def refusal(names: Sequence[str], sentence: str) -> Check:
    """A check that only failure shows; ``{}`` in its sentence is where the pictures stand that fail it."""
    return Check(reason=sentence.format(some(names)) if names else "")


def dice_checks(
    pooled: float,
    pictures: Sequence[tuple[str, float, int]],
    *,
    min_dice: float,
    min_image_dice: float,
    of: str = "",
) -> list[Check]:
    """The checks of masks, pooled and one by one.

    Parameters
    ----------
    pooled
        Dice over all pictures.
    pictures
        Each picture's name, Dice and pixels of the reference's mask.
    min_dice, min_image_dice
        Bounds over all pictures, and of each with a mask of at least :data:`COUNTED_PIXELS`.
    of
        Anatomy of the masks, such as ``lungs``; empty for the infection.
    """
    subject = f"{of} with Dice" if of else "Dice"
    low = [
        f"{name} {dice:.3f}"
        for name, dice, pixels in pictures
        if pixels >= COUNTED_PIXELS and dice < min_image_dice
    ]
    return [
        Check(
            key="dice",
            value=pooled,
            label=f"Dice of the {of}, pooled" if of else "Dice, pooled",
            text=f"{pooled:.6f}",
            at_least=min_dice,
            reason=f"expected {subject} of at least {min_dice} against the reference, found "
            f"{pooled:.5f} over {len(pictures)} pictures",
        ),
        Check(
            key="min_image_dice",
            value=min((dice for _, dice, _ in pictures), default=1.0),
            reason=f"expected {subject} of at least {min_image_dice} on each picture, found {some(low)}"
            if low
            else "",
        ),
    ]


def reasons_of(checks: Sequence[Check]) -> list[str]:
    """The reasons why an engine is not equivalent; empty when it is."""
    return [check.reason for check in checks if check.failed]


def summary_of(checks: Sequence[Check]) -> Mapping[str, float | int]:
    """The values by their names in JSON, without any picture's name."""
    return {check.key: check.value for check in checks if check.key}


def dice_of(common: int, sizes: int) -> float:
    """Dice of two masks by the pixels that they share and the sum of their sizes; 1 when both are empty."""
    return 2 * common / sizes if sizes else 1.0


def some(names: Sequence[str]) -> str:
    """The first five of several names, and how many more there are."""
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
