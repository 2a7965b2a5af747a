"""Checks of the host itself: Python, server, GPU, limits, memory, space, ports."""

from __future__ import annotations

import contextlib
import platform
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from infmap_kit.errors import InfmapError
from infmap_kit.targets.check import HostCheck, as_sentence, no_gpu_needed, ok, problem, warning
from infmap_kit.targets.target import Target
from infmap_kit.tensorrt.gpus import image_for, images
from infmap_kit.tensorrt.library import how_to_install
from infmap_kit.tensorrt.present_gpu import has_gpu, present_gpu
from infmap_kit.triton.repository import Manifest
from infmap_kit.triton.server.options import ServerOptions
from infmap_kit.triton.server.private_copy import temporary_folder
from infmap_kit.triton.server.process import is_ready
from infmap_kit.triton.server.runtime import find_runtime
from infmap_kit.triton.server.surroundings import (
    LOCALE,
    packages_path,
    require_locale,
    require_open_files,
)

PYTHONS = ((3, 11), (3, 13))
"""The first and the last minor version that the toolkit and Triton's python backend run with."""

MIN_MEMORY_MIB = 1024
"""A server with the largest of the 24 networks, twice while a release takes over, stays below this."""

MIN_SHARED_MEMORY_MIB = 64
"""Triton's python backend takes 1 MiB for each model and a few for pictures on the way."""


def python() -> Iterator[HostCheck]:
    """Check whether this Python is one of those supported."""
    first, last = PYTHONS
    if first <= sys.version_info[:2] <= last:
        yield ok("Python", f"Python {platform.python_version()} fits.")
    else:
        supported = " to ".join(".".join(map(str, version)) for version in PYTHONS)
        yield problem(
            "Python",
            f"This is Python {platform.python_version()}, and {supported} are supported.",
            "Make the environment with one of these.",
        )


def server(target: Target | None) -> Iterator[HostCheck]:
    """Check whether a Triton server is here that has the backend of the repository."""
    try:
        runtime = find_runtime()
    except InfmapError as error:
        if target is not None and target.in_container and shutil.which("docker"):
            yield ok("server", "Triton comes as NVIDIA's container; docker is here.")
        else:
            yield problem("server", as_sentence(error), "See the sentence.")
        return
    if runtime.backends is None:
        yield ok("server", f"Triton is on the PATH: {runtime.executable}.")
        return
    try:
        runtime.check_files()
    except InfmapError as error:
        yield problem("server", as_sentence(error), "`infmap-kit runtime` brings it again.")
        return
    yield ok(
        "server",
        "The Triton server for CPUs is here, with its Python library, and has the files of its wheel.",
    )
    if target is not None and not (runtime.backends / target.backend).is_dir():
        yield problem(
            "target",
            f"The repository is for target {target.name}, and the server for CPUs has none but python.",
            "Serve it with --runtime docker, or export with --target embedded.",
        )


def gpu(target: Target | None, manifest: Manifest | None) -> Iterator[HostCheck]:
    """Check whether a GPU is here and what it runs, and whether that fits the repository."""
    present = None
    if has_gpu():
        try:
            present = present_gpu()
        except InfmapError as error:
            yield problem("GPU", as_sentence(error), "Install NVIDIA's driver with its tools.")
            return
        yield ok(
            "GPU",
            f"{present.name}, compute capability {present.capability}, driver {present.driver}.",
        )
        fitting = [image for image in images() if image.driver <= present.driver]
        if not any(image.patched for image in fitting):
            yield warning(
                "driver",
                f"Driver {present.driver} runs no Triton image with the known security fixes.",
                "Update the driver to 580 or newer.",
            )
        if target is None or target.backend == "tensorrt":
            yield _tensorrt()
    if target is not None and manifest is not None:
        yield from target.gpu_checks(manifest, present)
    elif present is None:
        yield no_gpu_needed()


def _tensorrt() -> HostCheck:
    """Check whether plans can be built here, for an image that loads them."""
    try:
        built = version("tensorrt")
    except PackageNotFoundError:
        return warning(
            "TensorRT",
            "NVIDIA's TensorRT is not in this Python, and no plans can be built here; serving them needs none.",
            f"{how_to_install()}.",
        )
    try:
        image = image_for(built)
    except InfmapError as error:
        return problem("TensorRT", as_sentence(error), f"{how_to_install()}.")
    return ok("TensorRT", f"TensorRT {built} builds plans for Triton {image.release}.")


def memory() -> Iterator[HostCheck]:
    """Check whether there is memory enough, and shared memory."""
    available = _available_memory_mib()
    if available is not None:
        there = f"{available} MiB of memory are available"
        wanted = f"serving takes up to {MIN_MEMORY_MIB}"
        fix = "End other programs, or add memory."
        yield _enough("memory", available >= MIN_MEMORY_MIB, there, wanted, fix)
    shared = shutil.disk_usage("/dev/shm").free >> 20 if Path("/dev/shm").is_dir() else 0  # noqa: S108
    free = f"{shared} MiB are free in /dev/shm"
    wanted = f"Triton's python backend wants {MIN_SHARED_MEMORY_MIB}"
    fix = "In a container: --shm-size 256m."
    yield _enough("shared memory", shared >= MIN_SHARED_MEMORY_MIB, free, wanted, fix)


def surroundings() -> Iterator[HostCheck]:
    """Check that the server may open the files it needs, has its locale, and can be told where things are."""
    for subject, require, fine in (
        ("open files", require_open_files, "The server may open as many files as it needs."),
        ("locale", require_locale, f"{LOCALE} is here, in which the server reads every path."),
        ("path", packages_path, "The server can be told where this Python's packages are."),
    ):
        try:
            require()
        except InfmapError as error:
            yield problem(subject, as_sentence(error), "See the sentence.")
        else:
            yield ok(subject, fine)


def space(repository: Path) -> Iterator[HostCheck]:
    """Check that a release has room beside the repository, and the server's copy in the temporary folder."""
    folder = repository.absolute()
    while not folder.exists():
        folder = folder.parent
    held = sum(path.stat().st_size for path in repository.rglob("*") if path.is_file())
    needed = max(2 * held, 200 * 2**20) >> 20
    free = shutil.disk_usage(folder).free >> 20
    there = f"{free} MiB are free beside the repository"
    fix = "Make space, or take old releases away."
    yield _enough("space", free >= needed, there, f"a release needs {needed}", fix)
    copied = 2 * held >> 20
    temporary = temporary_folder()
    free = shutil.disk_usage(temporary).free >> 20
    there = f"{free} MiB are free in {temporary}"
    # Twice, while one release takes over from another.
    wanted = f"the copies that are served need {copied}"
    yield _enough("temporary folder", free >= copied, there, wanted, "Make space, or set TMPDIR.")


def ports(options: ServerOptions) -> Iterator[HostCheck]:
    """Check whether the ports are free, or a server of ours is on them."""
    busy = options.unusable_ports()
    shown = ", ".join(map(str, busy))
    if not busy:
        yield ok("ports", "The ports of gRPC and metrics are free.")
    elif is_ready(options.grpc_url):
        yield ok("ports", f"A Triton server is ready on {options.host} ({shown}).")
    else:
        yield problem(
            "ports",
            f"Something else than a ready Triton server listens on {shown}.",
            "End it, or serve on other ports.",
        )


def _enough(subject: str, enough: bool, there: str, wanted: str, fix: str) -> HostCheck:
    return ok(subject, f"{there}.") if enough else problem(subject, f"{there}, and {wanted}.", fix)


def _available_memory_mib() -> int | None:
    with contextlib.suppress(OSError):
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) >> 10
    return None
