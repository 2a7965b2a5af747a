"""Runs commands as in an environment that has one extra alone: every other package seems not to be there.

``python tests/without_extras.py --only=EXTRA`` reads a JSON list of commands from stdin, each a list of words,
runs each in a fork of its own, and writes a JSON list of exit codes and what came on stderr to stdout. Without
``--only`` nothing is hidden: for an environment that has no more.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import importlib.metadata
import json
import os
import re
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any, ClassVar

LONGEST_S = 60
AT_ONCE = 4


def distributions(extra: str) -> set[str]:
    """Names of all distributions that `pip install infmap-kit[extra]` brings; of no extra where empty."""
    from packaging.requirements import Requirement

    found: set[tuple[str, str]] = set()
    waiting = [("infmap-kit", extra), ("infmap-kit", "")]
    while waiting:
        name, chosen = waiting.pop()
        if (name, chosen) in found:
            continue
        found.add((name, chosen))
        try:
            lines = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for requirement in map(Requirement, lines):
            if requirement.marker is None or requirement.marker.evaluate({"extra": chosen}):
                needed = normal(requirement.name)
                waiting += [(needed, ""), *((needed, inner) for inner in requirement.extras)]
    return {name for name, _ in found}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


class Missing(PathFinder):
    """Finds what lies on the path, but nothing of distributions that are not among the allowed ones."""

    allowed: ClassVar[set[str]] = set()
    missing: ClassVar[set[str]] = set()

    @classmethod
    def take_over(cls, allowed: set[str]) -> None:
        """Stand in the place of Python's own finder."""
        cls.allowed = allowed
        cls.missing = {
            module
            for module, names in importlib.metadata.packages_distributions().items()
            if not allowed & set(map(normal, names)) and not module.startswith(("_", "infmap_"))
        }
        for name in [name for name in sys.modules if name.partition(".")[0] in cls.missing]:
            del sys.modules[name]
        sys.meta_path[sys.meta_path.index(PathFinder)] = cls

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if fullname.partition(".")[0] in cls.missing:
            return None
        return super().find_spec(fullname, path, target)

    @classmethod
    def find_distributions(cls, *arguments: Any, **options: Any) -> Iterator[Any]:
        for found in super().find_distributions(*arguments, **options):
            if normal(found.name or "") in cls.allowed:
                yield found


def _run(words: list[str]) -> None:
    """Be the command line; never returns."""
    program, *arguments = words
    sys.argv = [program, *arguments]
    code: Any = 1
    try:
        if program == "infmap-kit":
            from infmap_kit.cli import main
        elif program == "infmap-train":
            from infmap_train.cli import main
        else:
            from infmap_annotate.cli import main
        main()
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001  # the interpreter's own answer to it
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _answers(commands: list[list[str]]) -> Iterator[tuple[int, str]]:
    """Run a few at a time, in their order."""
    for batch in (commands[place : place + AT_ONCE] for place in range(0, len(commands), AT_ONCE)):
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(tempfile.TemporaryFile()) for _ in batch]
            children = [
                _started(words, file.fileno()) for words, file in zip(batch, files, strict=True)
            ]
            for child, file in zip(children, files, strict=True):
                _, status = os.waitpid(child, 0)
                file.seek(0)
                yield os.waitstatus_to_exitcode(status), file.read().decode(errors="replace")


def _started(words: list[str], errors: int) -> int:
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(errors, 2)
        signal.alarm(LONGEST_S)
        _run(words)
    return child


if __name__ == "__main__":
    for option in sys.argv[1:]:
        Missing.take_over(distributions(option.removeprefix("--only=")))
    # What always comes along: once, and not in every fork.
    import cv2  # noqa: F401
    import numpy as np  # noqa: F401
    import pydicom  # noqa: F401

    import infmap_annotate.cli  # noqa: F401
    import infmap_kit.cli  # noqa: F401
    import infmap_train.cli  # noqa: F401
    from infmap_kit.errors import MissingDependency
    from launcher import IMPORTED

    # And what many of them import, as far as it is there; what is not is missed again in each fork.
    for module in IMPORTED:
        with contextlib.suppress(ImportError, MissingDependency):
            importlib.import_module(module)
    gc.freeze()

    sys.stdout.write(json.dumps(list(_answers(json.load(sys.stdin)))))
