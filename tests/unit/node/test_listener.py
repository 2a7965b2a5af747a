"""Sixteen callers who mean no good, at once: the node's process keeps its memory, and goes on."""

from __future__ import annotations

import socket
import struct
import threading
from pathlib import Path

import numpy as np
import pytest

from dicom_files import as_file, chest_dataset
from infmap_kit.serving.server import free_port
from memory import peak_mib
from node_host import NodeHost, wait_until
from pdus import association_request, store_request

CALLERS = 16
MOST_MIB = 1536
"""Of the node's process, and of each that it starts."""

_FIRST = b"\x08\x00\x16\x00UI"
_STATUS = b"\0\0\0\x09\x02\0\0\0"
"""Tag and length of a response's Status; 0xC000 and above: cannot understand (PS3.4, B.2.3)."""


def _extra(kind: str) -> bytes:
    """60 MiB before a radiograph's own attributes."""
    match kind:
        case "empty elements":
            # They took 44 s and 1.9 GiB.
            return b"\x08\x00\x00\x10LO\x00\x00" * (60 * 2**17)
        case "long value":
            return struct.pack("<HH2sHI", 0x0008, 0x0005, b"UN", 0, 60 * 2**20) + bytes(60 * 2**20)
        case _:
            value = struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 60 * 2**20)
            start = b"\x07\x00\x02\x10SQ\x00\x00\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
            return start + value + bytes(60 * 2**20)


def _message(kind: str, uid: str) -> bytes:
    content = as_file(chest_dataset(np.zeros((64, 64), np.uint16), SOPInstanceUID=uid))
    return store_request(uid, _extra(kind) + content[content.index(_FIRST) :])


def _send(port: int, message: bytes, number: int, answers: list[bytes]) -> None:
    # Each from an address of its own: of one, eight are admitted.
    source = (f"127.0.0.{number + 2}", 0)
    with socket.create_connection(("127.0.0.1", port), 120, source_address=source) as connection:
        connection.sendall(association_request())
        assert connection.recv(2**16)[:1] == b"\x02"
        connection.sendall(message)
        answers.append(connection.recv(2**16))


def _processes(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [parent, *(process for child in children for process in _processes(int(child)))]


@pytest.mark.slow
def test_sixteen_hostile_transfers_at_once(tmp_path: Path) -> None:
    destination = (
        '[[destinations]]\nname = "pacs"\nkind = "c-store"\nhost = "127.0.0.1"\n'
        f'port = {free_port()}\nae_title = "PACS"\n'
    )
    host = NodeHost(tmp_path, "127.0.0.1:1", destination)
    host.start()
    try:
        for kind in ("empty elements", "long value", "nested value"):
            messages = [_message(kind, f"1.2.3.{number}") for number in range(2)]
            answers: list[bytes] = []
            threads = [
                threading.Thread(
                    target=_send, args=(host.port, messages[number % 2], number, answers)
                )
                for number in range(CALLERS)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(300)
            statuses = [answer.partition(_STATUS)[2][:2] for answer in answers]
            assert len(statuses) == CALLERS, kind
            assert {status[1:] for status in statuses} == {b"\xc0"}, kind
            peaks = {process: peak_mib(process) for process in _processes(host.process.pid)}
            assert max(peaks.values()) < MOST_MIB, kind
        wait_until(lambda: host.http("/live")[0] == 200)
    finally:
        host.end()
