"""What reading a file costs: outcome, peak of memory and time, each file in a process of its own."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

MOST_MIB = 3072
"""More than any bound that is tested; beyond it a test must not take the host's memory with it."""


@dataclasses.dataclass(frozen=True)
class Reading:
    """How it ended (a reject's code, ``read``, or what was raised), at which peak, in which time."""

    outcome: str
    peak_mib: int
    took_s: float


def read_each(files: Mapping[str, Path]) -> dict[str, Reading]:
    """Read files as `infmap-kit infer` does, judging them too."""
    done = subprocess.run(
        [sys.executable, __file__, json.dumps({name: str(path) for name, path in files.items()})],
        capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    return {name: Reading(*values) for name, values in json.loads(done.stdout).items()}


def peak_mib(process: int | str = "self") -> int:
    """Most memory that a process has had resident so far."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) // 1024 if found else 0


def _read(path: Path) -> Reading:
    from infmap_kit.errors import InputRejected
    from infmap_kit.imaging.readers import read_radiograph

    started_s = time.monotonic()
    try:
        read_radiograph(path, secondary_capture=True)
        outcome = "read"
    except InputRejected as rejected:
        outcome = str(rejected.code)
    except BaseException as error:  # noqa: BLE001  # whatever it is, it has no name
        outcome = repr(error)
    return Reading(outcome, peak_mib(), time.monotonic() - started_s)


def _in_a_child(path: Path) -> list[object]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MIB << 20, MOST_MIB << 20))
        os.write(writing, json.dumps(dataclasses.astuple(_read(path))).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    _, status = os.waitpid(child, 0)
    return list(json.loads(text)) if text else [f"died with status {status}", 0, 0.0]


def main() -> None:
    """Read what is named, in children that have the libraries already."""
    import imagecodecs  # noqa: F401
    import pydicom.pixels  # noqa: F401

    import infmap_kit.imaging.readers  # noqa: F401

    files = json.loads(sys.argv[1])
    sys.stdout.write(json.dumps({name: _in_a_child(Path(path)) for name, path in files.items()}))


if __name__ == "__main__":
    main()
