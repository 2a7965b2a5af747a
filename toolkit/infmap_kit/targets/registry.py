"""The targets, a line each."""

from __future__ import annotations

from infmap_kit.errors import ExportError, SpecError
from infmap_kit.targets.embedded import Embedded
from infmap_kit.targets.onnxruntime import Onnxruntime
from infmap_kit.targets.openvino import Openvino
from infmap_kit.targets.target import Target
from infmap_kit.targets.tensorrt import Tensorrt

AUTO = "auto"

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
