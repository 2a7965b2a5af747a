"""Finding a server for this machine, and refusing one that there is none for."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from infmap_kit.errors import HostMismatch
from infmap_kit.triton.server.runtime import find_runtime, install_runtime


def test_arm64_without_a_server_of_its_own_is_refused_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The wheel for arm64 is another file than the one that was proved."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    for bring in (find_runtime, install_runtime):
        with pytest.raises(
            HostMismatch, match="expected an x86-64 machine.*found aarch64"
        ) as caught:
            bring()
        assert "\n" not in str(caught.value)
    own = tmp_path / "tritonserver"
    own.touch(mode=0o755)
    assert find_runtime().executable == own
