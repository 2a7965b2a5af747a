"""Which target an export is for, from what was asked and what this host has."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import ExportError
from infmap_kit.export.backends import export_backend
from infmap_kit.export.gate import Equivalence
from infmap_kit.export.host import require_tensorrt
from infmap_kit.export.publish import export_embedded
from infmap_kit.export.source import Source
from infmap_kit.triton.backends import DEFAULT_BATCHES, BackendOptions
from infmap_kit.triton.config import EmbeddedOptions, Precision, Target, checked_precision
from infmap_kit.triton.gpu import has_gpu
from infmap_kit.triton.repository import Manifest

AUTO = "auto"


def find_target(target: str) -> Target:
    """The target of that name; ``auto`` is TensorRT where a GPU and its library are, else embedded.

    Raises
    ------
    ExportError
        For a target that does not exist.
    """
    if target == AUTO:
        ready = has_gpu() and importlib.util.find_spec("tensorrt") is not None
        return Target.TENSORRT if ready else Target.EMBEDDED
    if target not in tuple(Target):
        raise ExportError(
            f"expected --target to be one of {', '.join((AUTO, *Target))}, found {target!r}"
        )
    return Target(target)


def embedded_options(*, target: str, precision: str, threads: int) -> EmbeddedOptions:
    """Options of the embedded target, when that is what ``target`` comes to.

    Raises
    ------
    ExportError
        For another target, or one that does not exist.
    SpecError
        For a precision that the target does not have.
    """
    found = find_target(target)
    if found is not Target.EMBEDDED:
        raise ExportError(f"expected target {Target.EMBEDDED}, found {found}")
    chosen = Precision.FP32 if precision == AUTO else checked_precision(found, precision)
    return EmbeddedOptions(precision=chosen, threads=threads)


def export_options(
    *,
    target: str,
    precision: str = AUTO,
    threads: int = 0,
    batches: str = ",".join(map(str, DEFAULT_BATCHES)),
    instances: int = 1,
    cpu: bool = False,
    accelerator: bool = False,
) -> EmbeddedOptions | BackendOptions:
    """Options of whichever target it is.

    Parameters
    ----------
    target, precision
        ``auto`` chooses.
    threads
        Of the embedded target.
    batches
        Of the others: rising batch sizes with commas between.
    instances, cpu, accelerator
        See :class:`~infmap_kit.triton.backends.BackendOptions`; ``cpu`` keeps ONNX Runtime off the GPU.

    Raises
    ------
    ExportError
        For a target that does not exist, or batches that are no numbers.
    SpecError
        For options that the target does not have.
    """
    found = find_target(target)
    if found is Target.EMBEDDED:
        return embedded_options(target=found, precision=precision, threads=threads)
    return BackendOptions(
        target=found,
        precision=None if precision == AUTO else checked_precision(found, precision),
        batches=parse_batches(batches),
        instances=instances,
        gpu=not cpu,
        accelerator=accelerator,
    )


def require_host(options: EmbeddedOptions | BackendOptions) -> None:
    """Refuse a target that this machine cannot build for, before anything is read.

    Raises
    ------
    HostMismatch
        With what is missing and what to do.
    """
    if isinstance(options, BackendOptions) and options.target is Target.TENSORRT:
        require_tensorrt()


def publish(
    source: Source,
    repository: Path,
    options: EmbeddedOptions | BackendOptions,
    *,
    pictures: list[tuple[str, NDArray[np.uint8]]],
    report: Callable[[str], None] = lambda _: None,
) -> tuple[Manifest, Equivalence]:
    """Publish a network for whichever target it is; see ``export_embedded`` and ``export_backend``."""
    if isinstance(options, EmbeddedOptions):
        return export_embedded(source, repository, options, pictures=pictures, report=report)
    return export_backend(
        source,
        repository,
        options,
        pictures=pictures,
        report=report,
        progress=lambda phase, done, total: report(f"{phase} {done}/{total}"),
    )


def parse_batches(text: str) -> tuple[int, ...]:
    """Read ``1,8,32``.

    Raises
    ------
    ExportError
        When a part is no number.
    """
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError as error:
        raise ExportError(f"expected --batches such as 1,8,32, found {text!r}") from error
