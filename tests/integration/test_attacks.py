"""Who wants a server down, or something of his own in it: each attack succeeded on a server of before."""

from __future__ import annotations

import json
import os
import py_compile
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from tritonclient.grpc import service_pb2

from attacks import ATTACKS, attack
from infmap_kit.errors import InfmapError, ServerError, SpecError
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.host.doctor import examine
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.serving.server import free_ports, serving
from infmap_kit.serving.supervisor import Supervisor, supervised
from infmap_kit.targets.check import Status
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.repository import check_repository
from infmap_kit.triton.server import runtime
from infmap_kit.triton.server.process import TritonServer
from infmap_kit.triton.server.runtime import find_runtime
from patience import PATIENCE_S
from raw_http2 import grpc_request
from small_network import small_network

WHITE = np.full((224, 224), 255, np.uint8)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("attacked")
    onnx.save(small_network(), folder / "small.onnx")
    repository = folder / "model_repository"
    publish(
        read_source(folder / "small.onnx"),
        repository,
        EmbeddedOptions(threads=1),
        pictures=synthetic_pictures()[:1],
    )
    return repository


@pytest.fixture
def own(small: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small, tmp_path / "model_repository"))


@pytest.fixture(scope="module")
def running(small: Path) -> Iterator[Supervisor]:
    with supervised(small, free_ports()) as supervisor:
        yield supervisor


def _finds_white(url: str) -> bool:
    with InfmapClient(url) as client:
        return bool(client.infer(WHITE, WHITE)["DETECTED"])


@pytest.mark.parametrize("name", ATTACKS)
def test_nobody_listens_for_http_unless_asked_for(running: Supervisor, name: str) -> None:
    assert attack(running.options.http_port, ATTACKS[name]()) is None
    # Not the metrics either, nor gRPC's own port.
    for port in (running.options.metrics_port, running.options.grpc_port):
        attack(port, ATTACKS[name](), timeout_s=10)
    running.look()
    assert _finds_white(running.grpc_url)


def test_a_server_that_was_brought_down_comes_back_and_says_why(small: Path) -> None:
    """With HTTP on the attack still works; whoever asked for it is told, and goes on."""
    events: list[str] = []
    pauses = (0.1, 0.2)
    with supervised(
        small, free_ports(http=True), on_event=events.append, pauses_s=pauses
    ) as server:
        for end in range(3):
            deadline = time.monotonic() + PATIENCE_S
            # HTTP may be there a moment later than gRPC.
            while attack(server.options.http_port, ATTACKS["nested JSON"]()) is None:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            if end == len(pauses):
                with pytest.raises(ServerError, match="ended 3 times within 15 minutes"):
                    while time.monotonic() < deadline:
                        server.look()
                        time.sleep(0.05)
                break
            while sum("serves again" in event for event in events) <= end:
                server.look()
                assert time.monotonic() < deadline, events
                time.sleep(0.05)
            assert _finds_white(server.grpc_url)
    assert re.match(r"the server ended by signal SIG(SEGV|ABRT|BUS)", events[0])
    assert "CudaDriverHelper" not in " ".join(events)
    assert "again in 0.1 s" in events[0]
    assert "again in 0.2 s" in events[2]


def test_a_runner_that_was_killed_is_replaced(small: Path) -> None:
    """Triton itself stays, refuses every question, and asked to end it waits 25 s for the dead."""
    events: list[str] = []
    with supervised(small, free_ports(), on_event=events.append, pauses_s=(0.1,)) as server:
        assert server._server is not None
        (stub,) = server._server._stubs
        os.kill(stub, signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE_S
        while not any("serves again" in event for event in events):
            server.look()
            assert time.monotonic() < deadline, events
            time.sleep(0.05)
        assert _finds_white(server.grpc_url)
    assert "python backend ended" in events[0]


def test_metrics_are_told_to_no_web_page(running: Supervisor) -> None:
    url = running.options.metrics_url
    with urllib.request.urlopen(url) as reply:
        assert b"nv_inference" in reply.read()
    for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(urllib.request.Request(url, headers=headers))


def _turn_logs_on(server: TritonServer, header: tuple[bytes, bytes]) -> bool:
    """Whether a request with a header reaches an API that is restricted: it makes the server talk."""
    settings = service_pb2.LogSettingsRequest()
    settings.settings["log_verbose_level"].uint32_param = 1
    request = grpc_request("LogSettings", settings.SerializeToString(), header)
    with socket.create_connection(("127.0.0.1", server.options.grpc_port), 10) as connection:
        connection.sendall(request)
        time.sleep(1)
    with InfmapClient(server.grpc_url) as client:
        client.infer(WHITE, WHITE)
    return any("infer_handler" in line or "Process for" in line for line in server._lines)


def test_restricted_apis_are_closed_even_to_whoever_reads_the_arguments(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key stood in /proc/PID/cmdline, which every user of a machine can read."""
    from infmap_kit.triton.server import options

    with serving(small, free_ports()) as server:
        arguments = Path(f"/proc/{server.pid}/cmdline").read_bytes()
        assert b":Closed=to\neverybody" in arguments
        for header in (
            (b"triton-grpc-protocol-Closed", b"to\neverybody"),
            (b"triton-grpc-protocol-closed", b"to\neverybody"),
            (b"Triton-Grpc-Protocol-Closed", b"to everybody"),
        ):
            assert not _turn_logs_on(server, header)
        assert _finds_white(server.grpc_url)
    # That the request itself is right shows a server with a key that can be sent.
    monkeypatch.setattr(options, "_UNSENDABLE", "known=key")
    with serving(small, free_ports()) as server:
        assert _turn_logs_on(server, (b"triton-grpc-protocol-known", b"key"))


def _plant_bytecode(module: Path, witness: Path) -> None:
    """Bytecode that Python takes without a look at the source: it answers and leaves a trace."""
    evil = witness.with_suffix(".py")
    source = module.read_text(encoding="utf-8")
    evil.write_text(f"{source}\nopen({str(witness)!r}, 'w').close()\n", encoding="utf-8")
    target = module.parent / "__pycache__" / f"{module.stem}.{sys.implementation.cache_tag}.pyc"
    target.parent.mkdir()
    py_compile.compile(
        str(evil),
        str(target),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        doraise=True,
    )


def test_planted_bytecode_is_found_and_never_runs(own: Path, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    (runner,) = own.glob("infmap/*/model.py")
    _plant_bytecode(runner, witness)
    with pytest.raises(SpecError, match="__pycache__.*which its manifest does not name"):
        check_repository(own)
    checks = {check.name: check for check in examine(own, free_ports())}
    assert checks["repository"].status is Status.PROBLEM
    with serving(own, free_ports()) as server:
        assert _finds_white(server.grpc_url)
        # Planted again while it serves: what is loaded is a copy of its own.
        shutil.rmtree(own / "infmap" / "1" / "__pycache__", ignore_errors=True)
        _plant_bytecode(runner, witness)
        assert _finds_white(server.grpc_url)
    assert not witness.exists()


def test_files_that_change_while_they_are_served_are_found(own: Path) -> None:
    events: list[str] = []
    with supervised(own, free_ports(), on_event=events.append) as server:
        server.check_files()
        assert events == []
        graph = next(own.glob("infmap/1/*.onnx"))
        graph.write_bytes(graph.read_bytes() + b" ")
        server.check_files()
        assert len(events) == 1
        assert "is not what was exported" in events[0]
        assert "which is loaded, goes on" in events[0]
        assert _finds_white(server.grpc_url)
        # Whoever is us, or root, can still change what is loaded; then it must not go on.
        assert server._server is not None
        assert server._server._copy is not None
        loaded = next(server._server._copy.models.glob("infmap/1/*.onnx"))
        loaded.chmod(0o600)
        loaded.write_bytes(loaded.read_bytes() + b" ")
        with pytest.raises(SpecError, match="is not what was exported"):
            server.check_files()


def _installed(folder: Path) -> Path:
    """The server of this environment once more, at another path, with files that may be changed."""
    shutil.copytree(runtime.default_folder(), folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_planted_bytecode_of_the_server_itself_never_runs(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lay beside the module that Triton's stub loads before ours, in a path that a shell would run."""
    monkeypatch.chdir(tmp_path)
    folder = _installed(tmp_path / "Gerät $(touch planted);touch planted")
    (module,) = folder.glob("**/triton_python_backend_utils.py")
    witness = tmp_path / "witness"
    _plant_bytecode(module, witness)
    monkeypatch.setattr(runtime, "default_folder", lambda: folder)
    with serving(small, free_ports()) as server:
        assert _finds_white(server.grpc_url)
    assert not witness.exists()
    assert not list(tmp_path.rglob("planted"))


def test_a_server_that_is_another_one_is_refused_and_brought_again(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _installed(tmp_path / "server")
    monkeypatch.setattr(runtime, "default_folder", lambda: folder)
    (module,) = folder.glob("**/triton_python_backend_utils.py")
    (library,) = folder.glob("**/libtritonserver*")
    planted = library.with_name("libz.so.1")

    def refused(reason: str) -> None:
        with pytest.raises(ServerError, match=reason), serving(small, free_ports()):
            pass
        checks = {check.name: check for check in examine(small, free_ports())}
        assert checks["server"].status is Status.PROBLEM
        assert "infmap-kit runtime" in checks["server"].fix

    runtime.find_runtime().check_files()
    planted.write_bytes(b"")
    refused("holds nvidia_pytriton.libs/libz.so.1, which is not of nvidia-pytriton==0.7.0")
    planted.unlink()
    library.rename(tmp_path / library.name)
    refused("lacks nvidia_pytriton.libs/libtritonserver")
    (tmp_path / library.name).rename(library)
    module.write_text(f"{module.read_text()}#")
    refused("utils.py is not that of nvidia-pytriton==0.7.0")
    # It is not taken for installed either: only the right wheel helps.
    (tmp_path / "no.whl").write_bytes(b"")
    with pytest.raises(InfmapError, match=r"no.whl is not the known nvidia-pytriton==0.7.0"):
        runtime.install_runtime(tmp_path / "no.whl")


def test_modules_of_the_current_folder_are_not_those_of_the_runner(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triton's stub looks for modules where it was started from, before it looks anywhere else."""
    for name in ("json", "os", "numpy", "openvino", "triton_python_backend_utils"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'witness')!r}, 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    with serving(small, free_ports()) as server:
        assert _finds_white(server.grpc_url)
    assert not (tmp_path / "witness").exists()


def test_tritons_own_http_is_nowhere_to_be_found(running: Supervisor) -> None:
    """Its metrics are told by the same parser; 3.6 MB in chunks made it 600 MB larger."""
    assert running._server is not None
    inner = running._server.options.metrics_port
    assert attack(inner, ATTACKS["many chunks"]()) is None
    with urllib.request.urlopen(running.options.metrics_url) as reply:
        assert b"nv_inference" in reply.read()


def test_a_process_without_free_files_does_not_take_its_server_for_dead(
    running: Supervisor,
) -> None:
    assert running._server is not None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        running._server.check_alive()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    "name", ["a space", "Gerät", "$(touch planted)", "a;touch planted;b", "'quoted'", "link"]
)
def test_a_repository_is_served_whatever_its_path_is_called(
    own: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triton's python backend starts its stub through a shell, and quotes nothing."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / name
    if name == "link":
        folder.symlink_to(own, target_is_directory=True)
    else:
        own.rename(folder)
    with serving(folder, free_ports()) as server:
        assert _finds_white(server.grpc_url)
    assert not list(tmp_path.rglob("planted"))
    assert not Path("planted").exists()


def _with_few_open_files(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infmap_kit", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    )


def test_too_few_open_files_are_one_line_at_once(small: Path) -> None:
    started = time.monotonic()
    done = _with_few_open_files("serve", "--repository", str(small))
    assert done.returncode != 0
    assert "found 64: raise the limit" in " ".join(done.stderr.split())
    assert time.monotonic() - started < 30


def test_the_doctor_finds_too_few_open_files(small: Path) -> None:
    done = _with_few_open_files("doctor", "--json", "--repository", str(small))
    (found,) = (check for check in json.loads(done.stdout) if check["status"] == "problem")
    assert found["name"] == "open files"
    assert "found 64: raise the limit" in found["sentence"]


def test_nothing_is_left_of_a_server(small: Path, tmp_path: Path) -> None:
    before = set(Path("/tmp").glob(f"infmap-kit-{os.getpid()}-*"))
    with serving(small, free_ports()) as server:
        assert set(Path("/tmp").glob(f"infmap-kit-{os.getpid()}-*")) > before
        os.kill(server.pid, signal.SIGKILL)
    assert set(Path("/tmp").glob(f"infmap-kit-{os.getpid()}-*")) == before
    assert json.loads((small / "manifest.json").read_text())["release"] == 1
    assert find_runtime().executable.is_file()
