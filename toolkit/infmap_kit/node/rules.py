"""The choice of the rule for a radiograph."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from infmap_kit.imaging.dicom.dataset import text_of
from infmap_kit.node.config import Rule


def matching_rule(rules: Iterable[Rule], header: Any, caller: str) -> Rule | None:
    """The first rule that fits, or ``None``.

    Parameters
    ----------
    rules
        The rules, in the file's order.
    header
        A pydicom data set, of which ``Modality`` and ``BodyPartExamined`` count.
    caller
        AE title of the sender.
    """
    modality = text_of(header, "Modality").upper()
    body_part = text_of(header, "BodyPartExamined").upper()
    for rule in rules:
        if (
            (not rule.callers or caller in rule.callers)
            and _fits(rule.modalities, modality)
            and _fits(rule.body_parts, body_part)
        ):
            return rule
    return None


def _fits(allowed: list[str], value: str) -> bool:
    """Whether a code string is allowed; an empty one in the list stands for an absent tag."""
    return not allowed or value in (code.strip().upper() for code in allowed)
