"""The metrics on a port that stays: told to whoever may ask, whoever else keeps it busy."""

from __future__ import annotations

import http.client
import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infmap_kit.triton.server.metrics_relay import CONNECTIONS, MetricsRelay
from patience import PATIENCE_S

EVERYWHERE = "0.0.0.0"  # noqa: S104  # for a moment, on a port of chance


class _Metrics(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"requests 7")

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def behind() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Metrics) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/metrics"
        server.shutdown()
        thread.join()


@pytest.fixture
def relay(behind: str) -> Iterator[Callable[[str], int]]:
    """Starts a relay on an address, and returns its port."""
    started: list[MetricsRelay] = []

    def start(host: str) -> int:
        with socket.socket() as probe:
            probe.bind((host, 0))
            port: int = probe.getsockname()[1]
        started.append(MetricsRelay(host, port))
        started[0].follow(behind)
        return port

    yield start
    for one in started:
        one.stop()


def _ask(host: str, port: int, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, port, timeout=PATIENCE_S)
    connection.putrequest("GET", "/metrics", skip_host=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, answer.read()


def _open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize(
    ("address", "host", "status"),
    [
        ("127.0.0.1", "127.0.0.1:{port}", 200),
        ("127.0.0.1", "localhost:{port}", 200),
        ("127.0.0.1", "localhost", 200),
        ("127.0.0.1", "[::1]:{port}", 200),
        ("127.0.0.1", "evil.example:{port}", 403),
        ("127.0.0.1", "evil.example", 403),
        ("127.0.0.1", "127.0.0.1.evil.example:{port}", 403),
        ("127.0.0.1", "[", 403),
        ("127.0.0.2", "127.0.0.2:{port}", 200),
        ("127.0.0.2", "evil.example:{port}", 403),
        # For a network that is closed by other means, where hosts have names.
        (EVERYWHERE, "xray.hospital.example:{port}", 200),
    ],
)
def test_a_page_whose_name_was_made_to_point_here_learns_nothing(
    relay: Callable[[str], int], address: str, host: str, status: int
) -> None:
    port = relay(address)
    target = "127.0.0.1" if address == EVERYWHERE else address
    found, told = _ask(target, port, {"Host": host.format(port=port)})
    assert found == status
    assert (b"requests 7" in told) == (status == 200)


def test_a_flood_of_callers_who_drip_keeps_nobody_out_and_takes_no_files(
    relay: Callable[[str], int], capfd: pytest.CaptureFixture[str]
) -> None:
    """Each had a thread and a file for as long as it dripped, until the server's own process had none left."""
    port = relay("127.0.0.1")
    open_before = _open_files()
    callers = []
    for _ in range(8 * CONNECTIONS):
        caller = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        caller.sendall(b"G")
        callers.append(caller)
    deadline = time.monotonic() + PATIENCE_S
    # Half of what is open beyond that would be ours, when nobody was sent away.
    while _open_files() - open_before - len(callers) > CONNECTIONS + 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert sum("process_request" in thread.name for thread in threading.enumerate()) <= CONNECTIONS
    status, told = _ask("127.0.0.1", port, {"Host": "localhost"})
    assert (status, told) == (200, b"requests 7")
    for caller in callers:
        # A reset, not an end in order.
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        caller.close()
    time.sleep(0.2)
    assert "Traceback" not in capfd.readouterr().err
