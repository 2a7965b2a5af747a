"""The reasons why a radiograph was refused, in words that name the keys of the node's own file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from infmap_kit.errors import InfmapError, InputRejected
from infmap_kit.imaging.dicom.acceptance import CHEST_PARTS, NEAR_PARTS, OTHER_PARTS, term
from infmap_kit.imaging.dicom.dataset import text_of
from infmap_kit.imaging.radiograph import Reason
from infmap_kit.node.config import Rule
from infmap_kit.node.rules import fits

_PARTS = {*CHEST_PARTS, *NEAR_PARTS, *OTHER_PARTS}


def in_node_words(rejection: InputRejected, rule: Rule) -> InputRejected:
    """The rejection of a radiograph that a rule took, with what the rule could say instead."""
    if rejection.code != Reason.SECONDARY_CAPTURE:
        return rejection
    found = rejection.reason.partition(":")[0]
    return InputRejected(
        rejection.code,
        f"{found}: secondary_captures = true in rule {rule.name!r} reads those too",
        found=rejection.found,
    )


def model_trouble(error: InfmapError) -> str:
    """The reason why a model does not answer."""
    return str(error).replace("name it with --url", "give its url in [[models]]")


def why_none_fits(rules: Iterable[Rule], header: Any, caller: str) -> str:
    """The keys of each rule that a radiograph does not fit.

    Parameters
    ----------
    rules, header, caller
        As for :func:`~infmap_kit.node.rules.matching_rule`.
    """
    modality, part = text_of(header, "Modality").upper(), text_of(header, "BodyPartExamined")
    # Free text in a tag may be a person's name; a term of the standard is none.
    is_term = modality.isalpha() and len(modality) <= 3
    shown = {
        "callers": caller,
        "modalities": modality if is_term else "another one" if modality else "none",
        "body_parts": term(part, _PARTS) if part else "none",
    }
    reasons = (
        f"{rule.name!r} takes {key} {', '.join(entry or 'none' for entry in allowed)} and not {shown[key]}"
        for rule in rules
        for key, allowed in [_first_against(rule, header, caller)]
    )
    return f"no rule fits it: {'; '.join(reasons)}"


def _first_against(rule: Rule, header: Any, caller: str) -> tuple[str, list[str]]:
    """The first key of a rule that a radiograph does not fit, and what it allows."""
    does_fit = fits(rule, header, caller)
    key = next(key for key, is_good in does_fit.items() if not is_good)
    allowed: list[str] = getattr(rule, key)
    return key, allowed
