"""The committed corpus through every target, each in a process of its own; prints what was found as JSON.

``python -m fuzz.replay [TARGET ...]``. Bounds of time and memory are those of a campaign.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

from fuzz.targets import KINDS, bounded

CORPUS = Path(__file__).parent / "corpus"


def folders(name: str) -> list[Path]:
    """Where the inputs of a target lie: its own first, which need not be there, and another's."""
    return [CORPUS / folder for folder in (name, KINDS[name].also) if folder]


def inputs(name: str) -> list[Path]:
    """The committed inputs of a target."""
    return sorted(path for folder in folders(name) for path in folder.glob("*"))


def replay(name: str) -> Iterator[str]:
    """Give a line for each input of a target that raises, or takes too long or too much."""
    # A node's threads may still write into their spool when the folder goes.
    with tempfile.TemporaryDirectory(prefix="infmap-fuzz-", ignore_cleanup_errors=True) as folder:
        target = bounded(KINDS[name].make(Path(folder)))
        for path in inputs(name):
            try:
                target(path.read_bytes())
            except BaseException:  # noqa: BLE001  # whatever it is, it has no name
                yield f"{name}/{path.name}: {traceback.format_exc()}"


def _findings(name: str) -> list[str]:
    try:
        return list(replay(name))
    except Exception:  # noqa: BLE001  # a target that cannot be made is a finding too
        return [f"{name}: {traceback.format_exc()}"]


def _in_a_child(name: str) -> list[str]:
    """A native decoder that crashes, or memory that is never given back, is that target's alone."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with os.fdopen(writing, "w") as file:
            json.dump(_findings(name), file)
            file.flush()
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        text = file.read()
    _, status = os.waitpid(child, 0)
    return list(json.loads(text)) if status == 0 else [f"{name}: died with status {status}"]


def main() -> None:
    """Replay all, or the targets that are named."""
    names = sys.argv[1:] or list(KINDS)
    sys.stdout.write(json.dumps({name: _in_a_child(name) for name in names}))


if __name__ == "__main__":
    main()
