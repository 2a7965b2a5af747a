"""ONNX graphs to TensorRT engines: one function for ``tensorrt`` 10 and 11 and for ``tensorrt_rtx``.

The three modules offer the same API, so the module is handed in. On a GPU host it is ``tensorrt``, whose
plans Triton loads; on a machine without a GPU it is ``tensorrt_rtx_bindings``, which parses and compiles with
the same code of NVIDIA and refuses what it cannot take, though nothing of it can be run there.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import onnx

from infmap_kit.errors import ExportError, HostMismatch
from infmap_kit.graphs.precision.half_weights import with_plain_weights
from infmap_kit.graphs.products import with_convolved_products
from infmap_kit.progress import Progress, no_progress
from infmap_kit.tensorrt.layers import LayerTypes, layers_from_inspector, layers_of
from infmap_kit.tensorrt.refusal import GraphRefused, Refusal, refusal_of

Shape = tuple[int, ...]
Profile = Mapping[str, tuple[Shape, Shape, Shape]]
"""Input name to its smallest, best and largest shape."""

_log = logging.getLogger(__name__)
# TensorRT keeps the first logger it is given for as long as the process lives, and so must we.
_loggers: dict[str, Any] = {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """Options of an engine's build.

    Parameters
    ----------
    profiles
        Shapes that the engine is tuned for; Triton takes the profile that fits a request best.
    compute_capabilities
        GPU generations such as ``"SM75"``, for a library that can build for GPUs that are not present; empty
        builds for the GPU that is.
    timing_cache
        Timings of an earlier build, which need not be measured again; empty for the first build, ``None`` for
        a build without a cache.
    portable
        Whether the plan runs on every GPU of the same compute capability, instead of the very kind of GPU that
        built it (``HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY``, TensorRT 10.9 and later).
    version_compatible
        Whether the plan carries what later versions of TensorRT with the same major number need to load it
        (``BuilderFlag.VERSION_COMPATIBLE``).
    """

    profiles: tuple[Profile, ...]
    compute_capabilities: tuple[str, ...] = ()
    timing_cache: bytes | None = None
    portable: bool = False
    version_compatible: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorrtEngine:
    """A built engine.

    Parameters
    ----------
    plan
        The serialized engine.
    layers
        Types that its layers compute in.
    timing_cache
        Timings for the next build; empty for a build without a cache.
    """

    plan: bytes
    layers: LayerTypes
    timing_cache: bytes


def engine_from_onnx(
    trt: Any, graph: onnx.ModelProto, options: BuildOptions, *, progress: Progress = no_progress
) -> TensorrtEngine:
    """Build an engine that computes in the graph's own types.

    Parameters
    ----------
    trt
        The module: ``tensorrt`` or ``tensorrt_rtx_bindings``.
    graph
        The graph to build; :func:`infmap_kit.graphs.precision.fp16.fp16_graph` makes it FP16.
    options
        Shapes, GPU generations, timing cache.
    progress
        Called with TensorRT's phase, its steps done and their number.

    Raises
    ------
    GraphRefused
        Naming each node that the parser does not take.
    ExportError
        When the builder fails, with its last error.
    HostMismatch
        When this machine has no GPU that the library could build for.
    """
    logger = logger_of(trt)
    logger.errors.clear()
    builder = _builder(trt, logger)
    network = builder.create_network(_strongly_typed(trt))
    _parse(trt, with_convolved_products(with_plain_weights(graph)), network, logger)
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    # On Ampere and later FP32 would quietly become TF32, with the digits of FP16.
    config.clear_flag(trt.BuilderFlag.TF32)
    _set_capabilities(trt, config, options.compute_capabilities)
    _set_compatibility(trt, config, options)
    for shapes in options.profiles:
        profile = builder.create_optimization_profile()
        for name, (smallest, best, largest) in shapes.items():
            profile.set_shape(name, smallest, best, largest)
        if config.add_optimization_profile(profile) < 0:
            raise ExportError(f"TensorRT does not take the shapes {dict(shapes)}")
    if options.timing_cache is not None:
        cache = config.create_timing_cache(options.timing_cache)
        # A cache of another GPU or version is ignored.
        config.set_timing_cache(cache, ignore_mismatch=False)
    config.progress_monitor = monitor = _monitor(trt, progress)
    layers = layers_of(network)
    plan = builder.build_serialized_network(network, config)
    if monitor.interrupted:
        raise KeyboardInterrupt
    if plan is None:
        raise ExportError(f"TensorRT cannot build {graph.graph.name}: {logger.last()}")
    content = bytes(plan)
    used = config.get_timing_cache() if options.timing_cache is not None else None
    return TensorrtEngine(
        plan=content,
        layers=_inspect(trt, content, logger, layers),
        timing_cache=bytes(used.serialize()) if used is not None else b"",
    )


def logger_of(trt: Any) -> Any:
    """The only logger that TensorRT gets; it collects the errors."""
    if trt.__name__ not in _loggers:

        class Logger(trt.ILogger):  # type: ignore[misc]  # the module is known at run time only
            def __init__(self) -> None:
                trt.ILogger.__init__(self)
                self.errors: list[str] = []

            def log(self, severity: Any, message: str) -> None:
                if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                    self.errors.append(message)
                _log.debug("%s", message)

            def last(self) -> str:
                return " ".join(self.errors[-1].split()) if self.errors else "it gives no reason"

        _loggers[trt.__name__] = Logger()
    return _loggers[trt.__name__]


def _builder(trt: Any, logger: Any) -> Any:
    try:
        return trt.Builder(logger)
    except (TypeError, RuntimeError) as error:
        raise HostMismatch(
            f"TensorRT {trt.__version__} cannot start here ({logger.last()}): "
            "it needs an NVIDIA GPU and its driver"
        ) from error


def _strongly_typed(trt: Any) -> int:
    # Known to both 10 and 11; looked up, since a later version may have nothing else and drop the name.
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 1 << int(flag) if flag is not None else 0


def _set_capabilities(trt: Any, config: Any, capabilities: tuple[str, ...]) -> None:
    if not capabilities:
        return
    known = getattr(trt, "ComputeCapability", None)
    if known is None or not hasattr(config, "set_compute_capability"):
        raise HostMismatch(
            f"{trt.__name__} builds for the GPU that is present only: leave out the GPU, or "
            "install infmap-kit[compile]"
        )
    config.num_compute_capabilities = len(capabilities)
    for index, generation in enumerate(capabilities):
        member = getattr(known, generation, None)
        if member is None:
            allowed = sorted(name for name in known.__members__ if name.startswith("SM"))
            raise HostMismatch(
                f"expected a GPU generation of {', '.join(allowed)} for {trt.__name__} {trt.__version__}, "
                f"found {generation}"
            )
        config.set_compute_capability(member, index)


def _set_compatibility(trt: Any, config: Any, options: BuildOptions) -> None:
    if options.portable:
        level = getattr(trt.HardwareCompatibilityLevel, "SAME_COMPUTE_CAPABILITY", None)
        if level is None:
            raise HostMismatch(
                f"TensorRT {trt.__version__} knows no plans for a whole compute capability: export without "
                "--portable, or with TensorRT 10.9 or later"
            )
        config.hardware_compatibility_level = level
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)


def _parse(trt: Any, graph: onnx.ModelProto, network: Any, logger: Any) -> None:
    content = graph.SerializeToString()
    if trt.OnnxParser(network, logger).parse(content):
        return
    # parse() stops at the first node that it cannot take; this one goes on, on a network of its own.
    builder = _builder(trt, logger)
    # Held by a name: the parser does not keep its network alive.
    another = builder.create_network(_strongly_typed(trt))
    parser = trt.OnnxParser(another, logger)
    parser.supports_model_v2(content)
    refusals: dict[tuple[str, str], Refusal] = {}
    for index in range(parser.num_errors):
        refusal = refusal_of(graph, parser.get_error(index))
        refusals.setdefault((refusal.node, refusal.operator), refusal)
    if not refusals:
        raise ExportError(f"TensorRT cannot read {graph.graph.name}: {logger.last()}")
    raise GraphRefused(tuple(refusals.values()))


def _monitor(trt: Any, progress: Progress) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.interrupted = False
            self._steps: dict[str, int] = {}

        def phase_start(self, name: str, parent: str | None, steps: int) -> None:
            self._steps[name] = steps

        def phase_finish(self, name: str) -> None:
            steps = self._steps.pop(name, 0)
            progress(name, steps, steps)

        def step_complete(self, name: str, step: int) -> bool:
            try:
                progress(name, step + 1, self._steps.get(name, 0))
            except KeyboardInterrupt:
                # No exception may cross the library; False asks it to stop.
                self.interrupted = True
            return not self.interrupted

    return Monitor()


def _inspect(trt: Any, plan: bytes, logger: Any, network: LayerTypes) -> LayerTypes:
    """Layers as the engine itself reports them, or else as its network does.

    Without a GPU no engine can be loaded, and TensorRT may fuse so much that no convolution is left to
    be named.
    """
    engine = trt.Runtime(logger).deserialize_cuda_engine(plan)
    if engine is None:
        return network
    inspector = engine.create_engine_inspector()
    document = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
    reported = layers_from_inspector(document)
    if reported.computing or not network.computing:
        return reported
    _log.warning(
        "TensorRT %s tells the type of no convolution: the types of its strongly typed network stand for them",
        trt.__version__,
    )
    return network
