"""`infmap-kit doctor`: what does not fit on this box, in one sentence each, with the mend."""

from __future__ import annotations

import dataclasses
import enum
import importlib.util
import os
import platform
import shutil
import socket
import stat
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from infmap_kit.errors import InfmapError
from infmap_kit.release.signature import configured_key, fingerprint
from infmap_kit.triton.boxes import image_for, images
from infmap_kit.triton.config import Target
from infmap_kit.triton.gpu import has_gpu, present_gpu
from infmap_kit.triton.repository import Manifest, check_repository
from infmap_kit.triton.runtime import find_runtime
from infmap_kit.triton.server import ServerOptions, is_ready

PYTHONS = ((3, 11), (3, 13))
"""First and last minor version that the toolkit and Triton's python backend run with."""

MIN_MEMORY_MIB = 1024
"""A server with the largest of the 24 networks, twice while a release takes over, stays below this."""

MIN_SHARED_MEMORY_MIB = 64
"""Triton's python backend takes 1 MiB for each model and a few for pictures on the way."""

_LIBRARIES = {
    Target.EMBEDDED: ("openvino", "numpy"),
    Target.TENSORRT: (),
    Target.ONNXRUNTIME: (),
    Target.OPENVINO: (),
}


class Status(enum.StrEnum):
    """How a check ended."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "skipped"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Parameters
    ----------
    name
        What.
    status
        How it is.
    sentence
        What was found.
    mend
        What to do; empty when there is nothing to do.
    """

    name: str
    status: Status
    sentence: str
    mend: str = ""


def examine(repository: Path, options: ServerOptions) -> list[Check]:
    """Look at everything that serving a repository here depends on.

    Parameters
    ----------
    repository
        What is to be served.
    options
        Where.
    """
    manifest = _manifest(repository)
    checks: list[Callable[[], Iterator[Check]]] = [
        _python,
        lambda: _server(manifest),
        lambda: _libraries(manifest),
        lambda: _gpu(manifest),
        lambda: _repository(repository, manifest),
        lambda: _permissions(repository),
        lambda: _space(repository),
        _memory,
        lambda: _ports(options),
        _signing_key,
    ]
    return [check for checking in checks for check in checking()]


def _manifest(repository: Path) -> Manifest | None:
    try:
        return Manifest.read(repository)
    except InfmapError:
        return None


def _python() -> Iterator[Check]:
    found = tuple(map(int, platform.python_version_tuple()[:2]))
    first, last = PYTHONS
    if first <= found <= last:
        yield _ok("Python", f"Python {platform.python_version()} fits.")
    else:
        wanted = " to ".join(".".join(map(str, one)) for one in PYTHONS)
        yield _problem(
            "Python",
            f"This is Python {platform.python_version()}, and {wanted} are supported.",
            "Make the environment with one of these.",
        )


def _server(manifest: Manifest | None) -> Iterator[Check]:
    try:
        runtime = find_runtime()
    except InfmapError as error:
        if manifest is not None and manifest.target != Target.EMBEDDED and shutil.which("docker"):
            yield _ok("server", "Triton comes as NVIDIA's container; docker is here.")
        else:
            yield _problem("server", f"{_capital(error)}.", "See the sentence.")
        return
    if runtime.backends is None:
        yield _ok("server", f"Triton is on the PATH: {runtime.executable}.")
        return
    yield _ok("server", "The Triton server for CPUs is here, with its Python library.")
    if manifest is not None and manifest.target != Target.EMBEDDED:
        yield _problem(
            "target",
            f"The repository is for target {manifest.target}, and the server for CPUs has none but python.",
            "Serve it with --runtime docker, or export with --target embedded.",
        )


def _libraries(manifest: Manifest | None) -> Iterator[Check]:
    if manifest is None:
        return
    for name in _LIBRARIES[Target(manifest.target)]:
        built = manifest.built_with.get(name)
        if importlib.util.find_spec(name) is None:
            yield _problem(
                name,
                f"{name} is not installed, and the repository's engines run on it.",
                "pip install 'infmap-kit[embedded]'",
            )
            continue
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "unknown"
        if built and built != found:
            yield Check(
                name=name,
                status=Status.WARNING,
                sentence=f"{name} is {found}, and the engine was proved with {built}.",
                mend="Prove it again: `infmap-kit verify RUN`, or install the bundle again.",
            )
        else:
            yield _ok(name, f"{name} {found} is what the engine was proved with.")
    if manifest.target == Target.EMBEDDED and manifest.precision == "bf16":
        yield _bf16()


def _bf16() -> Check:
    flags = _read(Path("/proc/cpuinfo"))
    if "avx512_bf16" in flags or "amx_bf16" in flags:
        return _ok("bf16", "This CPU computes in bf16.")
    return _problem(
        "bf16",
        "The engine is bf16, and this CPU has no instructions for it.",
        "Export or install with --precision fp32.",
    )


def _gpu(manifest: Manifest | None) -> Iterator[Check]:
    plans = manifest is not None and manifest.target == Target.TENSORRT
    if not has_gpu():
        if plans:
            yield _problem(
                "GPU",
                "The repository holds TensorRT plans, and no NVIDIA GPU is here.",
                "Serve it on the box that it was built on, or export with --target embedded.",
            )
        else:
            yield Check(
                name="GPU",
                status=Status.SKIPPED,
                sentence="No NVIDIA GPU is here, and none is needed.",
            )
        return
    try:
        gpu = present_gpu()
    except InfmapError as error:
        yield _problem("GPU", f"{_capital(error)}.", "Install NVIDIA's driver with its tools.")
        return
    yield _ok("GPU", f"{gpu.name}, compute capability {gpu.capability}, driver {gpu.driver}.")
    fitting = [image for image in images() if image.driver <= gpu.driver]
    if not any(image.patched for image in fitting):
        yield Check(
            name="driver",
            status=Status.WARNING,
            sentence=f"Driver {gpu.driver} runs no Triton image with the known security fixes.",
            mend="Update the driver to 580 or newer.",
        )
    if not plans or manifest is None:
        return
    capability = manifest.built_with.get("compute_capability", gpu.capability)
    if capability != gpu.capability:
        yield _problem(
            "plan",
            f"The plans were built for compute capability {capability}, and this GPU has {gpu.capability}.",
            "Export or install on this box.",
        )
    try:
        image = image_for(manifest.built_with.get("tensorrt", ""))
    except InfmapError as error:
        yield _problem("TensorRT", f"{_capital(error)}.", "Export with an image's TensorRT.")
        return
    if image.driver > gpu.driver:
        yield _problem(
            "TensorRT",
            f"These plans load in Triton {image.release}, which needs driver {image.driver} or newer.",
            "Update the driver, or build with an older TensorRT.",
        )
    else:
        yield _ok("TensorRT", f"Triton {image.release} loads these plans.")


def _repository(repository: Path, manifest: Manifest | None) -> Iterator[Check]:
    try:
        check_repository(repository)
    except InfmapError as error:
        yield _problem("repository", f"{_capital(error)}.", "Export or install again.")
        return
    if manifest is None:
        return
    yield _ok(
        "repository",
        f"Release {manifest.release} is whole: {len(manifest.files)} files have the hashes of its manifest.",
    )
    if manifest.gate.get("passed"):
        yield _ok(
            "gate",
            f"It was proved over {manifest.gate['pictures']} pictures: Dice {manifest.gate['dice']:.5f}, "
            f"{manifest.gate['flips']} detections changed.",
        )
    else:
        yield Check(
            name="gate",
            status=Status.WARNING,
            sentence="The manifest does not say that this engine was proved.",
            mend="Prove it: `infmap-kit verify RUN`.",
        )


def _permissions(repository: Path) -> Iterator[Check]:
    parent = repository.absolute().parent
    if not repository.is_dir():
        return
    if not os.access(repository, os.R_OK | os.X_OK):
        yield _problem(
            "permissions", f"{repository} cannot be read by this user.", "Give it read permission."
        )
        return
    if repository.stat().st_mode & stat.S_IWOTH:
        yield Check(
            name="permissions",
            status=Status.WARNING,
            sentence=f"Everybody on this machine may write to {repository}.",
            mend=f"chmod o-w {repository}",
        )
    elif not os.access(parent, os.W_OK):
        yield Check(
            name="permissions",
            status=Status.WARNING,
            sentence=f"This user may serve {repository} and not publish: {parent} cannot be written.",
            mend="Publish as the folder's owner.",
        )
    else:
        yield _ok("permissions", "This user may serve and publish, and strangers may not write.")


def _space(repository: Path) -> Iterator[Check]:
    folder = repository.absolute()
    while not folder.exists():
        folder = folder.parent
    held = sum(path.stat().st_size for path in repository.rglob("*") if path.is_file())
    needed = max(2 * held, 200 * 2**20) >> 20
    free = shutil.disk_usage(folder).free >> 20
    if free < needed:
        yield _problem(
            "space",
            f"{free} MiB are free beside the repository, and a release needs {needed}.",
            "Make space, or take old releases away.",
        )
    else:
        yield _ok("space", f"{free} MiB are free beside the repository.")


def _memory() -> Iterator[Check]:
    available = _meminfo_mib("MemAvailable")
    if available is not None and available < MIN_MEMORY_MIB:
        yield _problem(
            "memory",
            f"{available} MiB of memory are available, and serving takes up to {MIN_MEMORY_MIB}.",
            "End other programs, or add memory.",
        )
    elif available is not None:
        yield _ok("memory", f"{available} MiB of memory are available.")
    shared = shutil.disk_usage("/dev/shm").free >> 20 if Path("/dev/shm").is_dir() else 0  # noqa: S108
    if shared < MIN_SHARED_MEMORY_MIB:
        yield _problem(
            "shared memory",
            f"{shared} MiB are free in /dev/shm, and Triton's python backend wants {MIN_SHARED_MEMORY_MIB}.",
            "In a container: --shm-size 256m.",
        )
    else:
        yield _ok("shared memory", f"{shared} MiB are free in /dev/shm.")


def _ports(options: ServerOptions) -> Iterator[Check]:
    busy = [
        port
        for port in (options.http_port, options.grpc_port, options.metrics_port)
        if not _is_free(options.host, port)
    ]
    shown = ", ".join(map(str, busy))
    if not busy:
        yield _ok("ports", "HTTP, gRPC and metrics ports are free.")
    elif is_ready(f"http://{options.host}:{options.http_port}"):
        yield _ok("ports", f"A Triton server is ready on {options.host} ({shown}).")
    else:
        yield _problem(
            "ports",
            f"Something else than a ready Triton server listens on {shown}.",
            "End it, or serve on other ports.",
        )


def _signing_key() -> Iterator[Check]:
    key = configured_key()
    if key is None:
        yield Check(
            name="bundle key",
            status=Status.SKIPPED,
            sentence="No public key is configured: bundles are installed whoever made them.",
        )
        return
    try:
        yield _ok("bundle key", f"Only bundles signed by {fingerprint(key)} are installed.")
    except InfmapError as error:
        yield _problem("bundle key", f"{_capital(error)}.", "Put the right key there.")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _meminfo_mib(key: str) -> int | None:
    for line in _read(Path("/proc/meminfo")).splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) >> 10
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _ok(name: str, sentence: str) -> Check:
    return Check(name=name, status=Status.OK, sentence=sentence)


def _problem(name: str, sentence: str, mend: str) -> Check:
    return Check(name=name, status=Status.PROBLEM, sentence=sentence, mend=mend)


def _capital(error: Exception) -> str:
    text = str(error)
    return text[:1].upper() + text[1:]
