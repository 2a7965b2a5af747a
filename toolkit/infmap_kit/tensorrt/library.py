"""NVIDIA's libraries and the GPU that engines are built with on this machine."""

from __future__ import annotations

import importlib
from typing import Any

from infmap_kit.errors import HostMismatch, MissingDependency
from infmap_kit.tensorrt.present_gpu import has_gpu


def require_tensorrt() -> Any:
    """The module ``tensorrt``, on a machine that can build plans.

    Raises
    ------
    HostMismatch
        When there is no GPU, or no TensorRT library, with what to do.
    """
    if not has_gpu():
        raise HostMismatch(
            "target tensorrt builds on the GPU host itself, and there is no NVIDIA GPU here: run this "
            "there, or check that the network compiles with `infmap-kit verify compile RUN`"
        )
    try:
        return importlib.import_module("tensorrt")
    except ImportError as error:
        raise HostMismatch(
            "target tensorrt needs NVIDIA's library, which is not here: pip install 'infmap-kit[tensorrt]' in "
            "the build of your Triton image, such as 'tensorrt==11.2.1.*' for 26.08, or export inside NVIDIA's "
            "TensorRT container of that month (docs/gpu-host.md, also for hosts without internet)"
        ) from error


def require_compiler() -> Any:
    """The module ``tensorrt_rtx_bindings``, which compiles without a GPU.

    Raises
    ------
    MissingDependency
        When it is not installed.
    """
    try:
        return importlib.import_module("tensorrt_rtx_bindings")
    except (ImportError, OSError) as error:
        raise MissingDependency(
            "compiling without a GPU needs NVIDIA's tensorrt-rtx (90 MB), which is not installed: "
            "pip install 'infmap-kit[compile]'"
        ) from error
