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
    return next((rule for rule in rules if all(fits(rule, header, caller).values())), None)


def fits(rule: Rule, header: Any, caller: str) -> dict[str, bool]:
    """Whether a radiograph fits each key of a rule: ``callers``, ``modalities`` and ``body_parts``."""
    return {
        "callers": not rule.callers or caller in rule.callers,
        "modalities": _is_allowed(rule.modalities, text_of(header, "Modality")),
        "body_parts": _is_allowed(rule.body_parts, text_of(header, "BodyPartExamined")),
    }


def _is_allowed(allowed: list[str], value: str) -> bool:
    """Whether a code string is allowed; an empty one in the list stands for an absent tag."""
    return not allowed or value.upper() in (code.strip().upper() for code in allowed)
