#!/usr/bin/env python
"""`docker run` and `docker stop` for one server, which is the one for CPUs: no containers run here.

A stand-in on the PATH that reads the command line as docker does: mount, published port, name, arguments.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from pathlib import Path

from infmap_kit.triton.server.options import ServerOptions
from infmap_kit.triton.server.process import TritonServer
from infmap_kit.triton.server.runtime import find_runtime


def _place(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"docker-stand-in-{name}"


def run(words: list[str]) -> int:
    """Serve what is mounted at /models on the published ports until it is stopped."""
    image = next(word for word in words if word.startswith("nvcr.io/"))
    server = words[words.index(image) + 1 :]
    if server[:2] != ["tritonserver", "--model-repository=/models"]:
        return 125
    options = words[: words.index(image)]
    (name,) = (word.partition("=")[2] for word in options if word.startswith("--name="))
    (mount,) = (word for word in options if word.endswith("target=/models,readonly"))
    source = mount.partition("source=")[2].partition(",")[0]
    published = [word.partition("=")[2].split(":") for word in options if "--publish=" in word]
    ports = {inner: int(outer) for _, outer, inner in published}
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    _place(name).write_text(str(os.getpid()))
    chosen = ServerOptions(grpc_port=ports["8001"], metrics_port=ports["8002"])
    with TritonServer(Path(source), runtime=find_runtime(), options=chosen):
        ended.wait()
    _place(name).unlink()
    return 0


def main() -> int:
    """As docker."""
    verb, *words = sys.argv[1:]
    if verb == "run":
        return run(words)
    if verb == "stop" and _place(words[0]).is_file():
        os.kill(int(_place(words[0]).read_text()), signal.SIGTERM)
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
