"""NVIDIA's libraries and the GPU that engines are built with on this machine."""

from __future__ import annotations

import importlib
from typing import Any

from infmap_kit.errors import HostMismatch, MissingDependency
from infmap_kit.tensorrt.gpus import recommended_image
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
            f"target tensorrt needs NVIDIA's library, which is not here: {how_to_install()}"
        ) from error


def how_to_install() -> str:
    """The ways to NVIDIA's library, with internet and without."""
    image = recommended_image()
    return (
        f"pip install 'infmap-kit[tensorrt]' '{image.requirement}' for Triton {image.release}, which fetches "
        "1 to 2 GB from NVIDIA's own index; without internet, wheels that were made where there is some, or "
        "NVIDIA's TensorRT container of that month (docs/gpu-host.md)"
    )


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
