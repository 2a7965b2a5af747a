"""What systemd is told."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from infmap_kit.serving.systemd import tell_systemd


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool
) -> None:
    name = "infmap-kit-test" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}" if abstract else name)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}" if abstract else name)
        tell_systemd("READY=1")
        assert manager.recv(100) == b"READY=1"
    tell_systemd("WATCHDOG=1")
    monkeypatch.delenv("NOTIFY_SOCKET")
    tell_systemd("WATCHDOG=1")
