"""The sandbox, from inside: what a confined process cannot do, and how one that takes too much is ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from infmap_kit import landlock
from infmap_kit.errors import ExportError
from infmap_kit.sandbox import SandboxLimits, run_module_confined
from small_network import small_network

_LITTLE = SandboxLimits(time_limit_minutes=2, memory_limit_gib=2)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a module of the name ``inside``, which a sandbox runs."""
    folder = tmp_path / "code"
    folder.mkdir()
    there = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{there}")
    return folder / "inside.py"


def _inside(module: Path, code: str, *writable: Path, limits: SandboxLimits = _LITTLE) -> str:
    module.write_text(code)
    done = run_module_confined(
        "inside", ["argument"], what="the trial", limits=limits, readable=[], writable=writable
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


needs_landlock = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")


@needs_landlock
def test_files_outside_are_out_of_reach(module: Path, tmp_path: Path) -> None:
    secret, given = tmp_path / "secret", tmp_path / "given"
    secret.write_text("Doe^Jane")
    given.mkdir()
    said = _inside(
        module,
        f"""
import os, sys, tempfile
def tried(act):
    try: act()
    except OSError as error: return type(error).__name__
    return "done"
print(tried(lambda: open({str(secret)!r}).read()))
print(tried(lambda: open({str(secret)!r}, "w")))
print(tried(lambda: open({str(tmp_path / "new")!r}, "w")))
print(tried(lambda: os.mkdir({str(Path.home() / ".planted")!r})))
print(tried(lambda: os.truncate({str(secret)!r}, 0)))
print(tried(lambda: open({str(given / "result")!r}, "w")))
print(tried(lambda: tempfile.TemporaryFile()))
print(sys.argv)
""",
        given,
    )
    assert said.split("\n")[:8] == [
        *["PermissionError"] * 5,
        "done",
        "done",
        "['inside', 'argument']",
    ]
    assert secret.read_text() == "Doe^Jane"


@needs_landlock
def test_shared_memory_of_others_and_disks_are_out_of_reach(module: Path) -> None:
    """A server of this user keeps radiographs there, and whoever writes there changes its answers."""
    region = Path("/dev/shm", f"infmap-kit-test-{os.getpid()}")
    region.write_text("radiograph")
    disks = [path for path in Path("/dev").iterdir() if path.is_block_device()]
    try:
        said = _inside(
            module,
            f"""
for path in {[str(region), *map(str, disks)]!r}:
    for mode in ("rb", "r+b"):
        try: open(path, mode).close()
        except OSError: pass
        else: print(path, mode)
open("/dev/null", "r+b").write(b"x")
open("/dev/urandom", "rb").read(1)
""",
        )
        assert said == ""
        assert region.read_text() == "radiograph"
    finally:
        region.unlink()


def test_there_is_no_network(module: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = _inside(
            module,
            f"""
import socket
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    for host in ("127.0.0.1", "192.0.2.1"):
        try:
            with socket.socket(socket.AF_INET, kind) as one:
                one.settimeout(2)
                one.connect((host, {port})) if kind is socket.SOCK_STREAM else one.sendto(b"x", (host, 9))
        except OSError as error: print("refused")
        else: print("reached")
""",
        )
    if said.split() != ["refused"] * 4:
        assert said.split()[:2] == ["refused"] * 2, "TCP by Landlock alone"
        pytest.skip("this kernel gives no network namespace to this user")


def test_one_that_takes_too_long_is_ended_with_all_that_it_started(module: Path) -> None:
    started = time.monotonic()
    with pytest.raises(
        ExportError, match=r"the trial took longer than 0.02 minutes, and was ended"
    ):
        _inside(
            module,
            "import subprocess\nsubprocess.run(['sleep', '86397'])",
            limits=SandboxLimits(time_limit_minutes=0.02),
        )
    assert time.monotonic() - started < 30
    time.sleep(0.2)
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert "sleep 86397" not in running.stdout


def test_one_that_takes_too_much_memory_is_ended(module: Path) -> None:
    with pytest.raises(ExportError, match=r"the trial took more than 0.3 GiB of memory"):
        _inside(
            module,
            "import time\nkept = []\nwhile True:\n    kept.append(bytearray(b'x' * 10_000_000))",
            limits=SandboxLimits(memory_limit_gib=0.3),
        )


def test_one_that_dies_is_told_by_its_signal(module: Path) -> None:
    with pytest.raises(ExportError, match=r"the trial died of SIGSEGV"):
        _inside(module, "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)")


def test_modules_of_the_working_folder_are_not_taken(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "was-here"
    (tmp_path / "json.py").write_text(f"open({str(mark)!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    # As many a shell's start file leaves it: an empty entry is the present folder.
    monkeypatch.setenv("PYTHONPATH", f":{os.environ.get('PYTHONPATH', '')}:")
    assert _inside(module, "import json\nprint(json.dumps([]))").strip() == "[]"
    assert not mark.exists()


def _export(source: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "infmap_kit", "export", source, "-r", folder / "r" / "models"]
    (folder / "r").mkdir(exist_ok=True)
    return subprocess.run(
        [*map(str, command), "--report", str(folder / "r" / "report"), *options],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def _folded(gigabytes: int) -> onnx.ModelProto:
    """A network that adds the mean of so many gigabytes of zeros, which engines compute when they load."""
    model = small_network()
    graph = model.graph
    index = next(i for i, node in enumerate(graph.node) if node.op_type == "Sigmoid")
    sigmoid = graph.node[index]
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        helper.make_node("Add", [sigmoid.input[0], "sum"], ["added"]),
    ]
    sigmoid.input[0] = "added"
    for position, node in enumerate(nodes):
        graph.node.insert(index + position, node)
    size = np.array([gigabytes, 250_000_000], np.int64)
    graph.initializer.append(numpy_helper.from_array(size, "size"))
    return model


def _nested_loops(depth: int) -> onnx.ModelProto:
    """Loops that each state how often they run, and together run for years."""
    node = helper.make_node("Add", ["carried0", "nothing"], ["next0"])
    for level in range(depth):
        one = str(level)
        body = helper.make_graph(
            [helper.make_node("Identity", [f"on{one}"], [f"still{one}"]), node],
            f"body{one}",
            [
                helper.make_tensor_value_info(f"i{one}", TensorProto.INT64, []),
                helper.make_tensor_value_info(f"on{one}", TensorProto.BOOL, []),
                helper.make_tensor_value_info(f"carried{one}", TensorProto.FLOAT, None),
            ],
            [
                helper.make_tensor_value_info(f"still{one}", TensorProto.BOOL, []),
                helper.make_tensor_value_info(f"next{one}", TensorProto.FLOAT, None),
            ],
        )
        outer = [f"carried{level + 1}"], [f"next{level + 1}"]
        node = helper.make_node("Loop", ["times", "go", *outer[0]], outer[1], body=body)
    model = small_network()
    graph = model.graph
    index = next(i for i, node in enumerate(graph.node) if node.op_type == "Sigmoid")
    sigmoid = graph.node[index]
    node.input[2], node.output[0] = sigmoid.input[0], "looped"
    sigmoid.input[0] = "looped"
    graph.node.insert(index, node)
    for name, value in (
        ("times", np.int64(9999)),
        ("go", np.bool_(True)),
        ("nothing", np.float32(0)),
    ):
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return model


@pytest.mark.parametrize(
    ("made", "options", "reason"),
    [
        (lambda: _nested_loops(3), ("--time-limit-minutes", "0.1"), "took longer than 0.1 minutes"),
        (lambda: _folded(2), ("--memory-limit-gib", "1.2"), "took more than 1.2 GiB of memory"),
    ],
    ids=["loops", "folding"],
)
def test_a_graph_without_end_or_measure_ends_the_export_in_a_line(
    made: object, options: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    onnx.save(made(), tmp_path / "net.onnx")  # type: ignore[operator]
    done = _export(tmp_path / "net.onnx", tmp_path, *options)
    assert done.returncode == 1
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert not (tmp_path / "r" / "models").exists()


def test_an_export_says_what_was_in_force(tmp_path: Path) -> None:
    onnx.save(small_network(), tmp_path / "net.onnx")
    done = _export(tmp_path / "net.onnx", tmp_path, "--json", "--memory-limit-gib", "3")
    assert done.returncode == 0, done.stderr
    confinement = json.loads(done.stdout)["manifest"]["built_with"]["confinement"]
    assert "3 GiB, 60 minutes" in confinement
    if landlock.version():
        assert f"files by Landlock {landlock.version()}" in confinement
    assert json.loads((tmp_path / "r" / "models" / "manifest.json").read_text())["built_with"]
