"""Names of a package that are loaded when they are asked for (PEP 562), so that importing it costs nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazily(
    package: str, places: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and the ``__dir__`` of a package whose names are loaded at their first use.

    Parameters
    ----------
    package
        The package's ``__name__``.
    places
        Public name to where it is: ``module``, or ``module:name`` where the module calls it otherwise.

    Raises
    ------
    MissingDependency
        Not here, but at the use of a name whose packages are not installed: naming the extra that brings them.
    """

    def get(name: str) -> Any:
        if name not in places:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module, _, inner = places[name].partition(":")
        try:
            value = getattr(importlib.import_module(module), inner or name)
        except ModuleNotFoundError as error:
            # Reads the metadata of what is installed, which is needed for nothing else.
            from infmap_kit.extras import missing_package

            program = package.replace("_", "-")
            if (missing := missing_package(error, program=program)) is None:
                raise
            raise missing from error
        # The next use finds it without asking.
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *places})

    return get, names
