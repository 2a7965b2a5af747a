"""The extra of infmap-kit that installs a missing package, found in the package's own metadata."""

from __future__ import annotations

import importlib.metadata
import re
from collections import defaultdict

from infmap_kit.errors import MissingDependency

_DISTRIBUTION = "infmap-kit"

_PACKAGE_OF = {
    "cuda": "cuda-bindings",
    "cv2": "opencv-python-headless",
    "google": "tritonclient",
    "grpc": "tritonclient",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "tensorrt_rtx": "tensorrt-rtx-cu12-bindings",
    "tensorrt_rtx_bindings": "tensorrt-rtx-cu12-bindings",
    "yaml": "pyyaml",
}
"""Packages whose modules are called otherwise, or that bring others' modules."""

_PROGRAMS = {"infmap-train": "train", "infmap-annotate": "annotate"}
"""Extras that are a program each; the toolkit never asks for theirs."""

_BUNDLES = ("demo", "dev")


def missing_package(error: ModuleNotFoundError, *, program: str) -> MissingDependency | None:
    """Say which extra to install for a module that is not there.

    Parameters
    ----------
    error
        Error that an import raised.
    program
        Name of the command line.

    Returns
    -------
    MissingDependency or None
        ``None`` for a module of the project itself, whose absence is a fault.
    """
    module = (error.name or "").partition(".")[0]
    if not module or module.startswith("infmap_"):
        return None
    needs = f"{program} needs {_PACKAGE_OF.get(module, module)}, which is not installed"
    extra = extra_with(module, program=program)
    return MissingDependency(f"{needs}: pip install '{_DISTRIBUTION}{f'[{extra}]' * bool(extra)}'")


def extra_with(module: str, *, program: str) -> str:
    """The extra that brings a module: the program's own, else the smallest; empty for what is always there."""
    package = _normal(_PACKAGE_OF.get(module, module))
    extras = [name for name, packages in _extras().items() if package in packages]
    own = _PROGRAMS.get(program)
    if own in extras:
        return own
    others = [name for name in extras if name not in _BUNDLES and name not in _PROGRAMS.values()]
    sizes = {name: len(_extras()[name]) for name in others or extras}
    return min(sizes, key=lambda name: (sizes[name], name), default="")


def _extras() -> dict[str, set[str]]:
    """Extra to the packages that it brings; extras within extras are resolved in the metadata."""
    found: dict[str, set[str]] = defaultdict(set)
    for requirement in importlib.metadata.requires(_DISTRIBUTION) or ():
        package = re.match(r"[A-Za-z0-9._-]+", requirement)
        extra = re.search(r"""extra\s*==\s*['"]([^'"]+)['"]""", requirement)
        if package and extra:
            found[extra[1]].add(_normal(package[0]))
    return found


def _normal(name: str) -> str:
    """A distribution's name in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()
