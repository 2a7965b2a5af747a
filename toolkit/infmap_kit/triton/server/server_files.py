"""The files of the server for CPUs: whether they are still those of the wheel that they came from.

``tritonserver-*.sha256`` names them, as ``sha256sum`` writes it::

    cd FOLDER && sha256sum --check --quiet tritonserver-2.51.0.sha256
"""

from __future__ import annotations

import importlib.resources
from pathlib import Path

from infmap_kit.errors import ServerError
from infmap_kit.model.files import sha256_of

COMPLETE = "complete"
"""An empty file that says that everything else is there."""

STUB = "pytriton/tritonserver/backends/python/triton_python_backend_stub"
"""The program in which our runner lives."""


def stub_of(python: str) -> str:
    """The name of the stub for a version of Python, of which one is copied to :data:`STUB`."""
    return f"pytriton/tritonserver/python_backend_stubs/{python}/triton_python_backend_stub"


def check_server_files(folder: Path, *, triton: str, python: str, wheel: str) -> None:
    """Compare a server with the wheel that it was installed from.

    Parameters
    ----------
    folder
        Where it was installed.
    triton, python
        Versions of Triton, and of the Python that its stub is for.
    wheel
        What the wheel is called in an error.

    Raises
    ------
    ServerError
        Naming the file that is missing, is another one, or is not of the wheel: a library more is loaded before
        those of the system.
    """
    expected = _known(triton)
    expected[STUB] = expected.get(stub_of(python), "")
    fix = "bring the server again with `infmap-kit runtime`"
    # Python's bytecode is left out, since none of it is read here: see PrivateCopy.backends.
    found = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if not path.is_dir() and "__pycache__" not in path.parts
    }
    found.discard(COMPLETE)
    for name in sorted(expected.keys() - found):
        raise ServerError(f"{folder} lacks {name}: {fix}")
    for name in sorted(found - expected.keys()):
        raise ServerError(f"{folder} holds {name}, which is not of {wheel}: {fix}")
    for name, digest in sorted(expected.items()):
        try:
            actual = sha256_of(folder / name)
        except OSError as error:
            raise ServerError(f"cannot read {folder / name}: {error.strerror}") from error
        if actual != digest:
            raise ServerError(f"{folder / name} is not that of {wheel} (SHA-256 differs): {fix}")


def _known(triton: str) -> dict[str, str]:
    """Name below the server's folder to SHA-256."""
    table = importlib.resources.files(__package__) / f"tritonserver-{triton}.sha256"
    digests = (line.split("  ", 1) for line in table.read_text("utf-8").splitlines())
    return {name: digest for digest, name in digests}
