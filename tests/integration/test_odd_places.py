"""The server where its users put it: paths with spaces, umlauts and a shell's characters, no locale."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infmap_kit.errors import ServerError
from infmap_kit.serving.server import checked, free_ports
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.server.process import TritonServer, is_ready
from infmap_kit.triton.server.runtime import find_runtime
from patience import PATIENCE_S

ODD = "Klinik für Röntgen $(touch started) & `touch started` 'x'; y"


def _environment(folder: Path) -> Path:
    """The Python of an environment in an odd folder, with our packages and a server of its own."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/*/site-packages")
    packages.rmdir()
    packages.symlink_to(sysconfig.get_path("purelib"))
    shutil.copytree(Path(sys.prefix, "share", "infmap-kit"), folder / "share" / "infmap-kit")
    return folder / "bin" / "python"


def test_a_server_in_odd_places(repository: Path, tmp_path: Path) -> None:
    place = tmp_path / ODD
    python = _environment(place / "environment")
    (place / "link").symlink_to(shutil.copytree(repository, place / "repository"))
    ports = free_ports()
    given = {"--grpc-port": ports.grpc_port, "--metrics-port": ports.metrics_port}
    words = [str(word) for pair in given.items() for word in pair]
    serve = subprocess.Popen(
        [str(python), "-m", "infmap_kit", "serve", "--repository", str(place / "link"), *words],
        cwd=place,
        # The PATH is a service's: this Python need not be on it.
        env={
            **os.environ,
            "LC_ALL": "C",
            "TMPDIR": str(place),
            "PYTHONCOERCECLOCALE": "0",
            "PATH": "/usr/bin:/bin",
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        while serve.poll() is None and not is_ready(ports.grpc_url):
            time.sleep(0.2)
        assert serve.poll() is None, serve.stderr and serve.stderr.read()
        with InfmapClient(ports.grpc_url) as client:
            assert client.model()["target"] == "embedded"
        assert [path.name for path in tmp_path.rglob("started")] == []
    finally:
        serve.terminate()
        serve.communicate(timeout=PATIENCE_S)


def test_a_log_that_says_why_ends_the_waiting(repository: Path, tmp_path: Path) -> None:
    """Two at once: Triton itself waits for half a minute."""
    runtime = find_runtime()
    if runtime.backends is None:
        pytest.skip("needs the Triton server for CPUs, whose backends can be exchanged")
    missing = "error while loading shared libraries: libpython.so: gone"
    stubs = {
        missing: f"echo '/x/triton_python_backend_stub: {missing}'\n",
        "/no/such/program: not found": "exec sh -c /no/such/program\n",
    }

    def told(number: int, stub: str) -> str:
        backends = shutil.copytree(runtime.backends or "", tmp_path / str(number))
        (backends / "python/triton_python_backend_stub").write_text(f"#!/bin/sh\n{stub}")
        broken = dataclasses.replace(runtime, backends=backends, folder=None)
        server = TritonServer(
            repository, runtime=broken, options=free_ports(), manifest=checked(repository)
        )
        with pytest.raises(ServerError, match=r"python backend cannot be started") as error:
            server.start(timeout_s=600)
        return str(error.value)

    with ThreadPoolExecutor() as pool:
        for reason, said in zip(stubs, pool.map(told, range(2), stubs.values()), strict=True):
            assert reason in said
