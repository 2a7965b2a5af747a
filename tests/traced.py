"""Which addresses a command and all its children talk to, seen by strace."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

_ADDRESS = re.compile(
    r'sin6?_port=htons\((?P<port>\d+)\).*?(?:inet_addr\(|inet_pton\(AF_INET6, )"(?P<host>[^"]+)"'
)
_LOOPBACK = re.compile(r"127\.|::1$|::ffff:127\.|0\.0\.0\.0$|::$")
_NAME_SERVER = 53
_CI = ("CI", "TF_BUILD", "JENKINS_URL", "GITHUB_ACTIONS")
"""What makes libraries quiet in CI jobs, where a host is not."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Traced:
    """A command that has ended.

    Parameters
    ----------
    exit_code, stdout, stderr
        As of any command.
    strangers
        ``address:port`` of all that it sent to or connected with, this machine's loopback aside; a name server
        is a stranger wherever it is.
    home
        Files below its home folder.
    """

    exit_code: int
    stdout: str
    stderr: str
    strangers: tuple[str, ...]
    home: tuple[str, ...]


def clean_environment(home: Path) -> dict[str, str]:
    """The environment of a user who has just been made, on a host."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if key not in (*_CI, "NNCF_CI", "ORT_DISABLE_TELEMETRY")
    }
    kept = {key: value for key, value in kept.items() if not key.startswith("XDG_")}
    return {**kept, "HOME": str(home)}


def traced_words(trace: Path, command: Sequence[object]) -> list[str]:
    """A command under strace, which writes to ``trace``; skips where there is none."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: apt-get install strace")
    return [
        *("strace", "--follow-forks", "--seccomp-bpf", "--trace=%network", "--string-limit=64"),
        *(f"--output={trace}", "--", *map(str, command)),
    ]


def strangers(trace: Path) -> tuple[str, ...]:
    """Addresses in a trace, loopback aside."""
    found = set()
    for line in trace.read_text(errors="replace").splitlines():
        for address in _ADDRESS.finditer(line):
            host, port = address["host"], int(address["port"])
            if port == _NAME_SERVER or not _LOOPBACK.match(host):
                found.add(f"{host}:{port}")
    return tuple(sorted(found))


def traced(
    module: str,
    *arguments: object,
    home: Path,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 300.0,
) -> Traced:
    """Run ``python -m module`` with ``home`` for its home folder, and see whom it talks to."""
    trace = folder / "trace.txt"
    done = subprocess.run(
        traced_words(trace, [sys.executable, "-m", module, *arguments]),
        cwd=folder, env={**clean_environment(home), **(environment or {})},
        capture_output=True, text=True, check=False, timeout=timeout_s,
    )  # fmt: skip
    return Traced(
        exit_code=done.returncode,
        stdout=done.stdout,
        stderr=done.stderr,
        strangers=strangers(trace),
        home=files_below(home),
    )


def files_below(home: Path) -> tuple[str, ...]:
    """Files below a folder; none where there is no folder."""
    if not home.is_dir():
        return ()
    return tuple(sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()))
