"""A cohort on a cluster that somebody else has started, and on servers that vanish."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from patience import PATIENCE_S

pytest.importorskip("distributed", reason="the cohort extra is not installed")
pytest.importorskip("pyarrow", reason="the cohort extra is not installed")

from authority import Authority
from cohorts import command, require_whole, rows_of, run
from infmap_kit.cluster import ClusterOptions, connected, keep_to_own_cores
from infmap_kit.cohort.parts import MANIFEST
from infmap_kit.errors import InfmapError
from infmap_kit.serving.server import free_port, free_ports, serving
from infmap_kit.triton.client import InfmapClient
from processes import end


@contextlib.contextmanager
def _started(*words: object, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as file:
        running = subprocess.Popen(
            [sys.executable, "-m", *map(str, words)], stdout=file, stderr=file, cwd=log.parent
        )
    try:
        yield running
    finally:
        end(running)


def _answers(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    pytest.fail("the scheduler did not start")


@contextlib.contextmanager
def _cluster(tls: tuple[object, ...], port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A scheduler and a worker, as docs/cluster.md starts them; gives the scheduler."""
    with _started(
        "distributed.cli.dask_scheduler", "--protocol", "tls", "--host", "127.0.0.1", "--port", port,
        "--no-dashboard", *tls, log=folder / "scheduler.log",
    ) as scheduler:  # fmt: skip
        _answers(port)
        with _started(
            "distributed.cli.dask_worker", f"tls://127.0.0.1:{port}", "--nthreads", 1, "--nworkers", 1,
            "--no-dashboard", *tls, log=folder / "worker.log",
        ):  # fmt: skip
            yield scheduler


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core")
def test_workers_of_this_machine_share_its_cores() -> None:
    """An engine starts as many threads as its process has cores, so no thread may see another's."""

    def cores(_: str) -> set[int]:
        keep_to_own_cores()
        threads = Path("/proc/self/task").iterdir()
        return set().union(*(os.sched_getaffinity(int(thread.name)) for thread in threads))

    with connected(ClusterOptions(workers=2)) as client:
        workers = list(client.scheduler_info()["workers"])
        asked = [client.submit(cores, one, workers=[one]) for one in workers]
        first, second = (one.result() for one in asked)
    assert first
    assert second
    assert not first & second


def test_a_memory_that_is_none_is_said_in_one_line() -> None:
    with (
        pytest.raises(InfmapError, match="--memory such as 4GiB"),
        connected(ClusterOptions(memory="4Gigs")),
    ):
        pass


def _until_begun(output: Path, running: subprocess.Popen[bytes]) -> None:
    while not (output / MANIFEST).exists() and running.poll() is None:
        time.sleep(0.05)


def test_a_scheduler_that_is_killed_loses_nothing(
    undisturbed: Path, cohort: Path, small_repository: Path, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    node = authority.sign("machine")
    tls = ("--tls-ca-file", authority.path, "--tls-cert", node.path, "--tls-key", node.key)
    port, output = free_port(), tmp_path / "out"
    asked: dict[str, Any] = {
        "repository": small_repository, "task_size": 4, "scheduler": f"tls://127.0.0.1:{port}",
        "tls_ca": authority.path, "tls_cert": node.path, "tls_key": node.key,
    }  # fmt: skip
    with _cluster(tls, port, tmp_path) as scheduler:
        running = subprocess.Popen(
            command(cohort, output=output, **asked), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        _until_begun(output, running)
        scheduler.kill()
        _, stderr = running.communicate(timeout=200)
    assert running.returncode == 1, stderr.decode()
    assert "give the same command again to go on" in stderr.decode().splitlines()[-1]
    with _cluster(tls, port, tmp_path):
        told = run(cohort, output=output, **asked)
    assert told["kept"] >= 4
    assert rows_of(output) == rows_of(undisturbed)
    require_whole(output)
    # Without a certificate nobody is let in.
    with _cluster(tls, port, tmp_path):
        other = Authority(tmp_path, "other")
        stranger = other.sign("stranger")
        refused = {**asked, "tls_cert": stranger.path, "tls_key": stranger.key}
        told = run(cohort, output=tmp_path / "stranger", code=1, **refused)
        assert "no Dask scheduler answers" in told["told"]


def test_servers_that_vanish_lose_nothing(
    undisturbed: Path, cohort: Path, small_repository: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    with contextlib.ExitStack() as both:
        first = both.enter_context(serving(small_repository, free_ports()))
        with serving(small_repository, free_ports()) as second:
            urls = (first.grpc_url, second.grpc_url)
            running = subprocess.Popen(
                command(cohort, output=output, url=urls, workers=1, task_size=4, patience=60),
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )  # fmt: skip
            _until_begun(output, running)
            for url in urls:
                with InfmapClient(url) as client:
                    asked = client.statistics().values()
                assert sum(one["requests"] for one in asked) > 0, "the fewest open ones first"
        # The second is gone; the first answers for both.
        _, stderr = running.communicate(timeout=200)
        assert running.returncode == 0, stderr.decode()
    # Engines here and in a server answer alike to the last bit.
    assert rows_of(output) == rows_of(undisturbed)
    require_whole(output)
    told = run(cohort, output=tmp_path / "none", url=urls, workers=1, patience=0, code=1)["told"]
    assert told.splitlines()[-1].startswith("error: no server answers at ")
