"""A process of its own for whatever a foreign model makes us compute: it can reach little and use up little.

It has no network, writes to an empty folder of its own and to what its command writes, and is ended when it
takes too long or too much memory. What the kernel offers is used: limits of resources everywhere, Landlock for
files, a network namespace or Landlock for the network; :func:`in_force` says what it came to.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import json
import os
import resource
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

from infmap_kit import landlock
from infmap_kit.command import exit_code_of
from infmap_kit.errors import ExportError

_GIB = 2**30
_LARGEST_FILE_BYTES = 8 * _GIB
_POLL_S = 0.05
_GRACE_S = 10
_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000

_STATE = {"in force": "none"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class SandboxLimits:
    """Limits of a confined process and of all that it starts.

    Parameters
    ----------
    time_limit_minutes
        Minutes after which it is ended.
    memory_limit_gib
        GiB of memory, all processes together, from which it is ended.
    """

    time_limit_minutes: float = dataclasses.field(
        default=60.0,
        metadata={
            "help": "Minutes after which the process that computes the model is ended.",
            "min": 0.01,
        },
    )
    memory_limit_gib: float = dataclasses.field(
        default=8.0,
        metadata={
            "help": "GiB of memory above which the process that computes the model is ended.",
            "min": 0.1,
        },
    )


def in_force() -> str:
    """The confinement of this process, in words, for the record of what was made in it."""
    return _STATE["in force"]


def run_confined(
    work: Callable[[], None],
    *,
    what: str,
    limits: SandboxLimits,
    writable: Collection[Path] = (),
    network: bool = False,
) -> int:
    """Run a function in a copy of this process that is confined, as a command's last act.

    What it prints is printed, and its errors become a line as ever (:func:`infmap_kit.command.exit_code_of`).
    This process must not have threads yet.

    Parameters
    ----------
    work
        The function.
    what
        Name of the work, as the subject of an error: ``the export``.
    limits
        Its limits.
    writable
        Folders and files that it writes, which need not exist yet; it can read what it could before.
    network
        Whether it keeps the network.

    Returns
    -------
    int
        The exit code to end with; of an error that has been printed when it is not 0.

    Raises
    ------
    ExportError
        When it is ended at a limit, or dies of a signal.
    """
    with _own_folder() as scratch:
        places = [scratch, *(_existing(path) for path in writable)]
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if not pid:
            _work_and_exit(work, limits, places, scratch, network=network)
        # Here too: whoever comes first, the group is there when it has to be ended.
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        return _watch(pid, what, limits)


def run_module_confined(
    module: str,
    arguments: Sequence[str],
    *,
    what: str,
    limits: SandboxLimits,
    readable: Collection[Path],
    writable: Collection[Path],
) -> subprocess.CompletedProcess[str]:
    """Run one of our modules, as ``python -m`` does, in an interpreter of its own that is confined.

    It can read Python, the system's libraries and ``readable``, and nothing else; otherwise as
    :func:`run_confined`.

    Returns
    -------
    subprocess.CompletedProcess
        Exit code, stdout and stderr.
    """
    with _own_folder() as scratch:
        asked = {
            "readable": [str(path.absolute()) for path in readable],
            "writable": [str(path.absolute()) for path in (scratch, *writable)],
            "scratch": str(scratch),
            "limits": dataclasses.asdict(limits),
        }
        # What lies in the folder that somebody works in is no module of ours.
        interpreter = [sys.executable, "-P", "-m"]
        command = [*interpreter, __name__, json.dumps(asked), module, *arguments]
        outputs = [scratch / "stdout", scratch / "stderr"]
        with outputs[0].open("wb") as stdout, outputs[1].open("wb") as stderr:
            process = subprocess.Popen(  # noqa: S603  # our own module in our own interpreter
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=_without_present_folder(os.environ),
                process_group=0,
            )
            code = _watch(process.pid, what, limits)
            process.returncode = code
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in outputs]
        return subprocess.CompletedProcess(command, code, *texts)


def _without_present_folder(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment whose PYTHONPATH has no empty entry, which would be the folder that somebody works in."""
    folders = [folder for folder in environment.get("PYTHONPATH", "").split(os.pathsep) if folder]
    return {**environment, "PYTHONPATH": os.pathsep.join(folders)}


@contextlib.contextmanager
def _own_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="infmap-kit-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _existing(path: Path) -> Path:
    """The folder that has to be writable for a path to come into being, or to be replaced by a rename."""
    folder = path.absolute().parent
    while not folder.is_dir():
        folder = folder.parent
    return folder


def _work_and_exit(
    work: Callable[[], None],
    limits: SandboxLimits,
    writable: Sequence[Path],
    scratch: Path,
    *,
    network: bool,
) -> None:
    code = 1
    try:
        _confine(limits, [Path("/")], writable, scratch, network=network)
        code = exit_code_of(work)
    except BaseException:  # noqa: BLE001  # nothing may return from here into the copy of the caller
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _confine(
    limits: SandboxLimits,
    readable: Sequence[Path],
    writable: Sequence[Path],
    scratch: Path,
    *,
    network: bool,
) -> None:
    """Confine this process for good."""
    os.setpgid(0, 0)
    os.environ["TMPDIR"] = str(scratch)
    tempfile.tempdir = None
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, _LARGEST_FILE_BYTES),
        # What is asked for and never touched takes no memory: the one who watches counts what is touched.
        (resource.RLIMIT_DATA, int(4 * limits.memory_limit_gib * _GIB)),
        (resource.RLIMIT_CPU, int(60 * limits.time_limit_minutes * (os.cpu_count() or 1)) + 1),
    ):
        with contextlib.suppress(ValueError, OSError):
            hard = resource.getrlimit(kind)[1]
            bounded = most if hard == resource.RLIM_INFINITY else min(most, hard)
            resource.setrlimit(kind, (bounded, bounded))
    isolated = not network and _leave_network()
    # Asked for after the namespace, which forgets it.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    try:
        files = landlock.restrict(readable=readable, writable=writable, tcp=network)
    except OSError:
        files = 0
    if network:
        reached = "network"
    elif isolated:
        reached = "no network (namespace)"
    else:
        reached = "no TCP (Landlock)" if files >= landlock.FIRST_WITH_TCP else "network"
    written = f"files by Landlock {files}" if files else "all files"
    _STATE["in force"] = (
        f"{reached}, {written}, {limits.memory_limit_gib:g} GiB, {limits.time_limit_minutes:g} minutes"
    )


def _leave_network() -> bool:
    """Move to a network of our own, in which there is nothing; whether the kernel lets us."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not libc.unshare(_CLONE_NEWNET):
        return True
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET):
        return False
    with contextlib.suppress(OSError):
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return True


def _watch(pid: int, what: str, limits: SandboxLimits) -> int:
    """Wait for a process, and end it with all that it started when it goes beyond its limits."""
    ends = time.monotonic() + 60 * limits.time_limit_minutes
    try:
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                break
            if beyond := _beyond(pid, limits, ends):
                _end(pid, signal.SIGKILL)
                raise ExportError(f"{what} took {beyond}")
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        _end(pid, signal.SIGINT)
        raise
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        raise ExportError(
            f"{what} died of {signal.Signals(-code).name}, in the library that computed the model: it is "
            "damaged, made to do so, or needs more memory than there is"
        )
    return code


def _beyond(pid: int, limits: SandboxLimits, ends: float) -> str:
    """The limit that a process exceeded; empty if it exceeded none."""
    if time.monotonic() > ends:
        return (
            f"longer than {limits.time_limit_minutes:g} minutes, and was ended: a graph that never ends, or "
            "--time-limit-minutes is too low"
        )
    if _memory_bytes(pid) > limits.memory_limit_gib * _GIB:
        return (
            f"more than {limits.memory_limit_gib:g} GiB of memory, and was ended: a graph that is larger than "
            "it looks, or --memory-limit-gib is too low"
        )
    return ""


def _end(pid: int, first: signal.Signals) -> None:
    """End a process and its group: as asked, and if need be at once."""
    with contextlib.suppress(OSError):
        os.killpg(pid, first)
    ends = time.monotonic() + (0 if first is signal.SIGKILL else _GRACE_S)
    while True:
        ended, _ = os.waitpid(pid, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > ends:
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            break
        time.sleep(_POLL_S)
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)


def _memory_bytes(pid: int) -> int:
    """Memory of a process and of those that it started, files that are mapped left out."""
    total, waiting = 0, [str(pid)]
    while waiting:
        one = waiting.pop()
        with contextlib.suppress(OSError, ValueError, IndexError):
            _, resident, shared, *_ = Path("/proc", one, "statm").read_text("ascii").split()
            total += (int(resident) - int(shared)) * resource.getpagesize()
            for children in Path("/proc", one, "task").glob("*/children"):
                waiting += children.read_text("ascii").split()
    return total


def _main() -> None:
    """``python -m infmap_kit.sandbox JSON MODULE ARGUMENTS``: what :func:`run_module_confined` starts."""
    asked, module, *arguments = json.loads(sys.argv[1]), *sys.argv[2:]
    # Where Python and its packages lie, and what libraries look up about the machine.
    system = [
        sys.prefix,
        sys.base_prefix,
        *sys.path,
        "/usr",
        "/lib",
        "/lib64",
        "/bin",
        "/etc",
        "/opt",
    ]
    readable = [*filter(None, system), "/proc", "/sys", *asked["readable"]]
    _confine(
        SandboxLimits(**asked["limits"]),
        [Path(path) for path in readable],
        [Path(path) for path in asked["writable"]],
        Path(asked["scratch"]),
        network=False,
    )
    # Libraries look for settings there, and would keep some.
    os.environ["HOME"] = asked["scratch"]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__")


if __name__ == "__main__":
    _main()
