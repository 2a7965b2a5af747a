"""Starting, ending and killing the real server."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from infmap_kit.errors import ServerError, SpecError
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.serving.server import free_ports, serving
from infmap_kit.triton.client import InfmapClient
from patience import PATIENCE_S
from processes import heed_ctrl_c, processes_naming
from published import seal_anew


def _servers_of(serve: subprocess.Popen[str]) -> list[int]:
    """Ids of the servers that a ``serve`` started: what they load is its own copy."""
    return processes_naming(f"/infmap-kit-{serve.pid}-")


@contextlib.contextmanager
def _serve_command(repository: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``infmap-kit serve`` as a user starts it, and its gRPC endpoint."""
    ports = free_ports()
    command = [
        sys.executable,
        "-m",
        "infmap_kit",
        "serve",
        "--json",
        "--repository",
        str(repository),
    ]
    command += ["--http-port", str(ports.http_port), "--grpc-port", str(ports.grpc_port)]
    command += ["--metrics-port", str(ports.metrics_port)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        bufsize=1,
        preexec_fn=heed_ctrl_c,
    )
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line == "}\n":
            break
    try:
        yield process, json.loads("".join(lines))["endpoints"]["grpc"]
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_leaves_nothing(repository: Path, number: signal.Signals) -> None:
    with _serve_command(repository) as (process, url):
        with InfmapClient(url) as client:
            assert client.model()["target"] == "embedded"
        assert _servers_of(process)
        regions = list(Path("/dev/shm").glob(f"infmap-kit-{process.pid}-*"))
        assert regions
        # Radiographs pass through them.
        assert all(stat.S_IMODE(region.stat().st_mode) == 0o600 for region in regions)
        process.send_signal(number)
        assert process.wait(timeout=PATIENCE_S) == 0
        assert not _servers_of(process)
        assert not any(region.exists() for region in regions)


def test_kill_9_in_a_request_is_one_clear_error_and_the_next_serve_starts(repository: Path) -> None:
    pixels = synthetic_radiograph(0, height=2500, width=2500).radiograph.pixels
    image = network_input(pixels)
    with _serve_command(repository) as (process, url):
        (server_pid, *_) = _servers_of(process)
        errors: list[BaseException] = []
        asked = threading.Event()

        def ask_until_it_fails() -> None:
            with InfmapClient(url) as client:
                try:
                    while True:
                        asked.set()
                        client.infer(image, pixels)
                except ServerError as error:
                    errors.append(error)

        asking = threading.Thread(target=ask_until_it_fails)
        asking.start()
        asked.wait()
        time.sleep(0.3)
        os.kill(server_pid, signal.SIGKILL)
        asking.join(timeout=PATIENCE_S)
        assert len(errors) == 1
        assert "\n" not in str(errors[0])
        assert "infmap-kit serve" in str(errors[0]), "the fix is named"
        # It comes back by itself, and says why it was away.
        deadline = time.monotonic() + PATIENCE_S
        with InfmapClient(url) as client:
            while True:
                with contextlib.suppress(ServerError):
                    assert client.infer(image, outputs=["DETECTED"])["DETECTED"] in (0, 1)
                    break
                assert time.monotonic() < deadline
                time.sleep(0.2)
        assert _servers_of(process) != [server_pid]
        process.send_signal(signal.SIGINT)
        told = " ".join(process.communicate(timeout=PATIENCE_S)[1].split())
        assert "the server ended by signal SIGKILL" in told
        assert "it is started again in 1 s" in told
        assert not _servers_of(process)
    with serving(repository, free_ports()) as server, InfmapClient(server.grpc_url) as client:
        assert client.infer(image, outputs=["DETECTED"])["DETECTED"] in (0, 1)


def test_kill_9_of_serve_itself_takes_triton_with_it(repository: Path) -> None:
    with _serve_command(repository) as (process, _):
        process.kill()
        process.wait()
        deadline = time.monotonic() + PATIENCE_S
        while _servers_of(process):
            assert time.monotonic() < deadline, "the server outlived its starter"
            time.sleep(0.2)


def test_kill_9_of_everything_in_a_request_leaves_no_process_and_no_radiograph(
    repository: Path,
) -> None:
    """The stub waited for ever for a server that was gone, and its shared memory stayed with the radiograph."""
    pixels = synthetic_radiograph(0, height=2500, width=2500).radiograph.pixels
    image = network_input(pixels)
    with _serve_command(repository) as (process, url), contextlib.ExitStack() as stack:

        def ask_until_it_fails() -> None:
            with InfmapClient(url) as client, contextlib.suppress(ServerError):
                while True:
                    client.infer(image, pixels)

        for _ in range(4):
            asking = threading.Thread(target=ask_until_it_fails)
            asking.start()
            stack.callback(asking.join, timeout=PATIENCE_S)
        time.sleep(3)
        (server_pid, *_) = _servers_of(process)
        process.kill()
        os.kill(server_pid, signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + PATIENCE_S
        while _servers_of(process):
            assert time.monotonic() < deadline, "a process outlived the server"
            time.sleep(0.1)
        assert not list(Path("/dev/shm").glob(f"infmap-kit-{process.pid}-*"))


def test_a_port_in_use_is_named(repository: Path) -> None:
    options = free_ports()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", options.grpc_port))
        taken.listen()
        with (
            pytest.raises(ServerError, match=rf"port {options.grpc_port} \(gRPC\).*other ports"),
            serving(repository, options),
        ):
            pass


def test_an_altered_file_is_not_served(repository: Path, tmp_path: Path) -> None:
    altered = tmp_path / "repository"
    shutil.copytree(repository, altered)
    graph = altered / "infmap" / "1" / "detection.onnx"
    graph.write_bytes(graph.read_bytes() + b"\0")
    with (
        pytest.raises(SpecError, match=r"infmap/1/detection.onnx is not what was exported"),
        serving(altered, free_ports()),
    ):
        pass


def test_a_model_that_does_not_load_is_one_line(repository: Path, tmp_path: Path) -> None:
    broken = tmp_path / "repository"
    shutil.copytree(repository, broken)
    graph = broken / "infmap" / "1" / "rendering.onnx"
    graph.write_bytes(b"not a graph")
    seal_anew(broken)
    with pytest.raises(ServerError) as caught, serving(broken, free_ports()):
        pass
    assert "model 'infmap' does not load" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_server_is_one_clear_line() -> None:
    with (
        InfmapClient(f"127.0.0.1:{free_ports().grpc_port}", timeout_s=5) as client,
        pytest.raises(ServerError, match="infmap-kit serve"),
    ):
        client.infer(np.zeros((224, 224), np.uint8))


def test_models_cannot_be_unloaded_from_outside(repository: Path) -> None:
    """Triton's model-repository API is restricted: no hospital computer can take a model away."""
    import urllib.error
    import urllib.request

    with serving(repository, free_ports(http=True)) as server:
        request = urllib.request.Request(
            f"{server.http_url}/v2/repository/models/infmap/unload", data=b"{}"
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=PATIENCE_S)
        assert caught.value.code == 403
