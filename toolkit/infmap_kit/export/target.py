"""Which target an export is for, from what was asked and what this host has."""

from __future__ import annotations

from infmap_kit.errors import ExportError
from infmap_kit.triton.config import EmbeddedOptions, Precision, Target


def embedded_options(*, target: str, precision: str, threads: int) -> EmbeddedOptions:
    """Options of the embedded target, the only one so far; ``auto`` chooses it.

    Raises
    ------
    ExportError
        For a target or precision that does not exist.
    """
    targets = ("auto", *Target)
    if target not in targets:
        raise ExportError(f"expected --target to be one of {', '.join(targets)}, found {target!r}")
    if precision not in tuple(Precision):
        raise ExportError(
            f"expected --precision to be one of {', '.join(Precision)}, found {precision!r}"
        )
    return EmbeddedOptions(precision=Precision(precision), threads=threads)
