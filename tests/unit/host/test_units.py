"""Units for systemd: read by systemd's own tools, which also count what a service could do."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infmap_kit.errors import ServerError
from infmap_kit.host.units import FILES, SERVICES, UnitOptions, write_units

MOST_EXPOSED = 2.0

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (Debian: systemd)"
)


def _written(tmp_path: Path, **options: object) -> Path:
    program = tmp_path / "infmap-kit"
    program.symlink_to(sys.executable)
    write_units(tmp_path, UnitOptions(program=program, **options))  # type: ignore[arg-type]
    return tmp_path


def _analyze(*words: object) -> str:
    done = subprocess.run(
        ["systemd-analyze", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@needs_systemd
@pytest.mark.parametrize(
    "options", [{}, {"low_port": True}, {"addresses": ("10.1.0.0/16", "192.0.2.7")}]
)
def test_systemd_finds_nothing_to_say_and_little_exposed(
    tmp_path: Path, options: dict[str, object]
) -> None:
    folder = _written(tmp_path, **options)
    units = [folder / name for name in FILES if not name.endswith(".sysusers")]
    said = _analyze("verify", "--recursive-errors=no", "--man=no", *units)
    # Other units of this machine are read along, and may be at fault.
    assert [line for line in said.splitlines() if "infmap-" in line] == []
    for name in SERVICES:
        shown = _analyze("security", "--offline=true", folder / name)
        level = re.search(rf"exposure level for {name}: ([0-9.]+)", shown)
        assert level is not None
        assert float(level[1]) <= MOST_EXPOSED


def test_both_services_are_watched_and_keep_their_secrets(tmp_path: Path) -> None:
    folder = _written(tmp_path)
    for name in SERVICES[:2]:
        unit = (folder / name).read_text()
        assert "\nType=notify\n" in unit
        assert re.search(r"^WatchdogSec=\d+$", unit, re.MULTILINE)
    node = (folder / "infmap-node.service").read_text()
    assert "\nLoadCredential=secrets:/etc/infmap-kit/secrets\n" in node
    users = {
        name: re.search(r"^User=(.*)$", (folder / name).read_text(), re.MULTILINE)
        for name in SERVICES
    }
    assert {name: match and match[1] for name, match in users.items()} == {
        "infmap-serve.service": "infmap-serve",
        "infmap-node.service": "infmap-node",
        "infmap-doctor.service": "infmap-serve",
    }
    # Whoever ends must not take along what a running service of the same user keeps in memory.
    assert "\nRemoveIPC=false\n" in (folder / "infmap-doctor.service").read_text()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"repository": Path("/srv/my models")}, "/srv/my models"),
        ({"repository": Path("models")}, "an absolute path"),
        ({"settings": Path("/etc/%h")}, "/etc/%h"),
        ({"node_user": "infmap-serve"}, "two users"),
        ({"node_user": "a b"}, "'a b'"),
        ({"addresses": ("pacs.hospital",)}, "'pacs.hospital'"),
    ],
)
def test_what_systemd_would_read_otherwise_is_refused(
    options: dict[str, object], reason: str
) -> None:
    with pytest.raises(ServerError, match=re.escape(reason)):
        UnitOptions(**options)  # type: ignore[arg-type]
