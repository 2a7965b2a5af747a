"""Which target an export is for, from what was asked and what this host has."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

from infmap_kit.errors import ExportError
from infmap_kit.gate.comparison import GateReport
from infmap_kit.gate.pictures import Pictures
from infmap_kit.gate.report import Evidence
from infmap_kit.gate.runners import CachingRunner, Runner
from infmap_kit.progress import Progress, no_progress
from infmap_kit.release.publish import Builder, publish_build, reference_runner
from infmap_kit.release.source import Source
from infmap_kit.targets.backend_configs import DEFAULT_BATCHES, BackendOptions
from infmap_kit.targets.backends import build_backend
from infmap_kit.targets.embedded import Proof, build_embedded
from infmap_kit.tensorrt.library import require_tensorrt
from infmap_kit.tensorrt.present_gpu import has_gpu
from infmap_kit.triton.config import EmbeddedOptions, Precision, Target, checked_precision
from infmap_kit.triton.repository import Manifest

AUTO = "auto"
DEFAULT = "default"


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


def embedded_options(
    *, target: str, precision: str, threads: int, instances: int = 1
) -> EmbeddedOptions:
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
    chosen = None if precision == AUTO else _precision(found, precision) or Precision.FP32
    return EmbeddedOptions(precision=chosen, threads=threads, instances=instances)


def export_options(
    *,
    target: str,
    precision: str = DEFAULT,
    threads: int = 0,
    batches: str = ",".join(map(str, DEFAULT_BATCHES)),
    instances: int = 1,
    cpu: bool = False,
    accelerator: bool = False,
    keep_fp32: tuple[str, ...] = (),
) -> EmbeddedOptions | BackendOptions:
    """Options of whichever target it is.

    Parameters
    ----------
    target
        ``auto`` is what this host has.
    precision
        ``default`` is the target's own: the one nearest to the trained network. ``auto`` is the fastest
        that passes the gate on this host, by measurement, for the embedded target; for others it is their
        default.
    threads
        Of the embedded target.
    batches
        Of the others: rising batch sizes with commas between.
    instances, cpu, accelerator, keep_fp32
        See :class:`~infmap_kit.targets.backend_configs.BackendOptions`; ``cpu`` keeps ONNX Runtime off the GPU.

    Raises
    ------
    ExportError
        For a target that does not exist, or batches that are no numbers.
    SpecError
        For options that the target does not have.
    """
    found = find_target(target)
    if found is Target.EMBEDDED:
        if keep_fp32:
            raise ExportError(
                "--keep-fp32 belongs to FP16 graphs (targets tensorrt and onnxruntime): OpenVINO lowers a "
                "graph itself, and whole; export with --precision fp32"
            )
        return embedded_options(
            target=found, precision=precision, threads=threads, instances=instances
        )
    return BackendOptions(
        target=found,
        precision=None if precision == AUTO else _precision(found, precision),
        batches=parse_batches(batches),
        instances=instances,
        gpu=not cpu,
        accelerator=accelerator,
        keep_fp32=keep_fp32,
    )


def _precision(target: Target, precision: str) -> Precision | None:
    return None if precision == DEFAULT else checked_precision(target, precision)


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
    pictures: Pictures,
    calibration: Pictures | None = None,
    reference: Runner | None = None,
    evidence: Evidence | None = None,
    progress: Progress = no_progress,
) -> tuple[Manifest, GateReport]:
    """Publish a network for whichever target it is; see :func:`~infmap_kit.release.publish.publish_build`.

    ``calibration`` is what INT8's ranges are taken from; ``pictures``, when it is not given.
    """
    build: Builder
    if isinstance(options, EmbeddedOptions):
        reference = CachingRunner(reference or reference_runner(source))
        proof = Proof(reference=reference, pictures=pictures, calibration=calibration or pictures)
        build = functools.partial(build_embedded, options, proof)
    else:
        build = functools.partial(build_backend, options)
    return publish_build(
        source,
        repository,
        build,
        pictures=pictures,
        reference=reference,
        evidence=evidence,
        progress=progress,
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
