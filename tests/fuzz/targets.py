"""What is fuzzed: functions of bytes that may refuse them by name, and nothing else.

A target is made in a folder of its own, and given one input after the other. Whatever it raises is a finding.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import io
import json
import socket
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from memory import peak_mib

Target = Callable[[bytes], None]

MAX_INPUT_BYTES = 2**16
MAX_SECONDS = 5
"""Of the processor, so that a busy machine makes no difference."""
MAX_MIB = 1024
PATIENCE_S = 30
"""By the clock: for what waits, or never ends."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """How a target is made, how many inputs of 100,000 it gets, and whose corpus it takes beside its own."""

    make: Callable[[Path], Target]
    inputs: int
    also: str = ""


class TooMuch(Exception):
    """An input took too long, or too much memory."""


def bounded(target: Target) -> Target:
    """A target that also fails when an input takes too long, or brings the process beyond its memory."""

    def run(content: bytes) -> None:
        started_s = time.process_time()
        target(content)
        took_s, mib = time.process_time() - started_s, peak_mib()
        if took_s > MAX_SECONDS or mib > MAX_MIB:
            raise TooMuch(f"{took_s:.1f} s, {mib} MiB")

    return run


def _decode(_: Path) -> Target:
    from infmap_kit.errors import InputRejected
    from infmap_kit.imaging.readers import decode_radiograph

    def run(content: bytes) -> None:
        with contextlib.suppress(InputRejected):
            decode_radiograph(content, "x", secondary_capture=True)

    return run


def _header(_: Path) -> Target:
    from infmap_kit.errors import InputRejected
    from infmap_kit.imaging.headers.png import PNG_SIGNATURE, essential_png
    from infmap_kit.imaging.headers.reading import read_header

    def run(content: bytes) -> None:
        with contextlib.suppress(InputRejected):
            read_header(content)
            if content.startswith(PNG_SIGNATURE):
                essential_png(content)

    return run


def _dataset(folder: Path) -> Target:
    from infmap_kit.errors import InputRejected
    from infmap_kit.imaging.dicom.dataset import read_header
    from infmap_kit.imaging.dicom.identity import shown_patient, shown_uids
    from infmap_kit.imaging.dicom.reader import read_tags
    from infmap_kit.imaging.explain import explain_dicom

    path = folder / "fuzzed.dcm"

    def run(content: bytes) -> None:
        with contextlib.suppress(InputRejected):
            header = read_tags(content)
            shown_uids(header, identify=True)
            shown_patient(header, identify=True)
        # Of damaged files pydicom raises what it likes; intake refuses them all alike.
        with contextlib.suppress(Exception):
            read_header(io.BytesIO(content))
        path.write_bytes(content)
        with contextlib.suppress(InputRejected):
            explain_dicom(path)

    return run


def _bundle(folder: Path) -> Target:
    """A bundle; or its record and its spec, with a zero between, in a bundle whose hashes fit."""
    from infmap_kit.errors import InfmapError
    from infmap_kit.model.run_folder import SPEC
    from infmap_kit.release.contents import read_contents

    path = folder / "fuzzed.infmap"

    def read(content: bytes) -> None:
        path.write_bytes(content)
        with contextlib.suppress(InfmapError):
            read_contents(path)

    def run(content: bytes) -> None:
        if content[257:262] == b"ustar":
            read(content)
            padded = content + bytes(-len(content) % 512)
        else:
            record, _, spec = content.partition(b"\0")
            files = {SPEC: spec, "segmentation.onnx": b"x"}
            with contextlib.suppress(ValueError, RecursionError):
                if isinstance(document := json.loads(record), dict):
                    hashes = {
                        name: hashlib.sha256(value).hexdigest() for name, value in files.items()
                    }
                    record = json.dumps({**document, "files": hashes}).encode()
            members = {"bundle.json": record, **files}
            padded = b"".join(tar_member(name, value) for name, value in members.items())
        digest = hashlib.sha256(padded).hexdigest().encode() + b"\n"
        read(padded + tar_member("checksum.sha256", digest) + bytes(1024))

    return run


def tar_member(name: str, content: bytes) -> bytes:
    """A file in a bundle, as tar writes it."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), 0o644
    return info.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % 512)


def _spec(folder: Path) -> Target:
    from infmap_kit.errors import InfmapError
    from infmap_kit.model.run_folder import SPEC, RunFolder

    def run(content: bytes) -> None:
        (folder / SPEC).write_bytes(content)
        with contextlib.suppress(InfmapError):
            _ = RunFolder(folder).spec

    return run


def _manifest(folder: Path) -> Target:
    from infmap_kit.errors import InfmapError
    from infmap_kit.triton.repository import MANIFEST, Manifest, served_contract

    def read(content: bytes) -> None:
        (folder / MANIFEST).write_bytes(content)
        with contextlib.suppress(InfmapError):
            served_contract(Manifest.read(folder))

    def run(content: bytes) -> None:
        read(content)
        # Sealed anew, as somebody would who knows how: behind the seal there is more to read.
        try:
            document = json.loads(content)
            document["seal"] = Manifest(**document).digest()
            sealed = json.dumps(document).encode()
        except Exception:  # noqa: BLE001  # what cannot be sealed was read above
            return
        read(sealed)

    return run


def _request(_: Path) -> Target:
    from infmap_kit.node.dicom.request import ConnectionRefused, read_request

    def run(content: bytes) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            sender = threading.Thread(target=_send, args=(theirs, content))
            sender.start()
            with contextlib.suppress(ConnectionRefused):
                read_request(ours, address="127.0.0.1", deadline_s=time.monotonic() + MAX_SECONDS)
            ours.close()
            sender.join()

    return run


def _send(connection: socket.socket, content: bytes) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)


def _association(folder: Path) -> Target:
    """A node's port: after an association was agreed on, whatever PDUs come."""
    from fuzz.node import listening_node

    port, request = listening_node(folder)
    failures: list[BaseException] = []
    threading.excepthook = lambda what: failures.append(what.exc_value or SystemExit())

    def run(content: bytes) -> None:
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
            connection.sendall(request)
            # An acceptance fills one segment; what the fuzzed PDUs are answered with is read to the end.
            answer = connection.recv(2**16)
            if answer[:1] != b"\x02":
                raise AssertionError(f"the node takes no association: {answer[:10]!r}")
            _send(connection, content)
            with contextlib.suppress(OSError):
                while connection.recv(2**16):
                    pass
        if failures:
            raise failures.pop()

    return run


def _annotation(folder: Path) -> Target:
    """Bodies of a signed-in reader's requests: the first byte tells which."""
    from urllib.parse import quote

    from doctors import new_study
    from infmap_annotate.study.readers import sign_in
    from infmap_annotate.web.pages import COOKIE, make_app

    study, tokens = new_study(folder, drawn=1)
    app = make_app(study, hosts=frozenset({"127.0.0.1"}))
    session = sign_in(study, "anna", tokens["anna"])

    def ask(method: str, path: str, body: bytes, query: bytes = b"") -> tuple[int, bytes]:
        return asyncio.run(_asked(app, method, path, body, query, f"{COOKIE}={session}".encode()))

    def run(content: bytes) -> None:
        kind, body = content[:1], content[1:]
        item = json.loads(ask("GET", "/api/items/current", b"")[1])["item"]
        if kind == b"D" and item:
            status, answer = ask("PUT", f"/api/items/{quote(item)}/drawing", body, b"from_slot=0")
        else:
            named = body.replace(b"$ITEM", (item or "-").encode())
            status, answer = ask("POST", "/api/decisions", named)
        if status >= 500:
            raise AssertionError(f"HTTP {status}: {answer[:200]!r}")
        if status == 200:
            ask("POST", "/api/decisions", b'{"kind": "undo", "item": null}')

    return run


async def _asked(
    app: Any, method: str, path: str, body: bytes, query: bytes, cookie: bytes
) -> tuple[int, bytes]:
    """One request to an ASGI application, and its answer."""
    headers = [
        (b"host", b"127.0.0.1"), (b"cookie", cookie), (b"x-infmap", b"1"),
        (b"content-type", b"image/png" if method == "PUT" else b"application/json"),
    ]  # fmt: skip
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": query,
        "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80), "root_path": "",
    }  # fmt: skip
    pieces = [{"type": "http.request", "body": body, "more_body": False}]
    status, answer = 0, b""

    async def receive() -> dict[str, Any]:
        return pieces.pop() if pieces else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal status, answer
        status = message.get("status", status)
        answer += message.get("body", b"")

    await app(scope, receive, send)
    return status, answer


KINDS = {
    "decode": Kind(_decode, 20_000),
    "header": Kind(_header, 27_000, also="decode"),
    "dataset": Kind(_dataset, 15_000, also="decode"),
    "bundle": Kind(_bundle, 10_000),
    "spec": Kind(_spec, 10_000),
    "manifest": Kind(_manifest, 10_000),
    "request": Kind(_request, 5_000),
    "association": Kind(_association, 1_000),
    "annotation": Kind(_annotation, 2_000),
}
