"""The requirements of the demo besides its model."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from infmap_kit.errors import HostMismatch, MissingDependency
from infmap_kit.triton.server.runtime import find_runtime, install_runtime

_PACKAGES = ("onnx", "onnxruntime", "openvino", "tritonclient")


def require_packages() -> None:
    """Refuse an environment that cannot export, serve on a CPU and ask.

    Raises
    ------
    MissingDependency
        Naming what is missing, and what brings all of it.
    """
    if missing := [name for name in _PACKAGES if importlib.util.find_spec(name) is None]:
        raise MissingDependency(
            f"infmap-kit demo needs {', '.join(missing)}, which is not installed: "
            "pip install 'infmap-kit[demo]'"
        )


def bring_server(wheel: Path | None = None) -> None:
    """Bring the Triton server for CPUs, unless there is a server; raises as ``install_runtime`` does."""
    if wheel is None:
        try:
            find_runtime()
        except HostMismatch:
            pass
        else:
            return
    install_runtime(wheel)
