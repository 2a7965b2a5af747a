"""Options of the target that a command names; those of other targets are refused by name."""

from __future__ import annotations

from infmap_kit.cli.options import Given, offered
from infmap_kit.errors import ExportError
from infmap_kit.targets.registry import choose, precision_of, targets
from infmap_kit.targets.target import TargetOptions

TARGET_OPTIONS = tuple(target.options for target in targets())
"""The options of targets, shared by `export`, `install` and `bench table5`."""


def target_options(name: str, precision: str, given: Given) -> TargetOptions:
    """The options of the target that was named.

    Raises
    ------
    ExportError
        For a target that does not exist, or an option that belongs to another, by its name.
    SpecError
        For values that the target does not take.
    """
    target = choose(name)
    foreign = []
    for field in given.beside(target.options):
        owners = ", ".join(one.name for one in targets() if field in offered(one.options))
        # Of an option without an owner, such as a part's, no target is asked.
        if owners:
            foreign.append(f"{given.flags[field]} (of {owners})")
    if foreign:
        raise ExportError(
            f"expected options of target {target.name}, found {', '.join(foreign)}: leave them out, or name "
            "another --target"
        )
    return given.options(target.options, precision=precision_of(target, precision))
