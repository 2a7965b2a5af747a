"""The targets, a line each."""

from __future__ import annotations

from typing import Any

from infmap_kit.errors import ExportError, SpecError
from infmap_kit.targets.embedded import Embedded
from infmap_kit.targets.onnxruntime import Onnxruntime
from infmap_kit.targets.openvino import Openvino
from infmap_kit.targets.target import Target, TargetOptions
from infmap_kit.targets.tensorrt import Tensorrt

AUTO, DEFAULT = "auto", "default"
"""A target: what this host has. Precisions: the target's choice by measurement where it can, and its first."""

_TARGETS: dict[str, Target] = {}


def register(target: Target) -> None:
    """Add a target, or replace the target of the same name."""
    _TARGETS[target.name] = target


register(Tensorrt())
register(Onnxruntime())
register(Openvino())
register(Embedded())


def targets() -> tuple[Target, ...]:
    """All registered targets."""
    return tuple(_TARGETS.values())


def choose(name: str) -> Target:
    """The target that ``--target`` names; ``auto`` is TensorRT where a GPU and its library are, else embedded.

    Raises
    ------
    ExportError
        For a target that does not exist.
    """
    if name == AUTO:
        return next(target for target in targets() if target.preferred())
    if name not in _TARGETS:
        raise ExportError(
            f"expected --target to be one of {', '.join((AUTO, *_TARGETS))}, found {name!r}"
        )
    return _TARGETS[name]


def precision_of(target: Target, precision: str) -> str | None:
    """The precision that ``--precision`` names, as a target's options take it."""
    return {AUTO: None, DEFAULT: target.precisions[0]}.get(precision, precision)


def options_of(name: str, precision: str = DEFAULT) -> TargetOptions:
    """The options of a target that is named, with nothing but the precision chosen.

    Raises
    ------
    ExportError
        For a target that does not exist.
    SpecError
        For a precision that the target does not have.
    """
    target = choose(name)
    # The options make a Precision of the text, or refuse it.
    chosen: Any = precision_of(target, precision)
    return target.options(precision=chosen)


def find(name: str) -> Target:
    """The target that a manifest names.

    Raises
    ------
    SpecError
        For a target that this version does not know.
    """
    if name not in _TARGETS:
        raise SpecError(
            f"expected a target of {', '.join(_TARGETS)} in the manifest, found {name!r}: export again with "
            "this version, or use the one that published it"
        )
    return _TARGETS[name]
