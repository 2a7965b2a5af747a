"""Versions of infmap-kit beside each other, as a kit installs them: ``versions/``, and ``current`` for one."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from infmap_kit.triton.server.runtime import default_folder
from linked_environment import linked_environment

ROOT = Path(__file__).parents[1]
_UV = (sys.executable, "-m", "uv")


def earlier_source(folder: Path, *, commit: str, version: str) -> Path:
    """Unpack what a commit holds, with a version of its own; skips where the history lacks the commit."""
    archive = folder.with_suffix(".tar")
    done = subprocess.run(
        ["git", "archive", "--output", archive, commit], cwd=ROOT, capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"needs the history up to {commit}, which a shallow clone leaves out")
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    stated = folder / "toolkit" / "infmap_kit" / "__init__.py"
    before, mark, after = stated.read_text("utf-8").partition('__version__ = "')
    stated.write_text(before + mark + version + '"' + after.partition('"')[2], "utf-8")
    return folder


def built(source: Path, dist: Path) -> Path:
    """The wheel of a source tree, built into a folder by what is installed here."""
    before = set(dist.glob("*.whl"))
    build = ["build", "--quiet", "--wheel", "--no-build-isolation", "--out-dir"]
    subprocess.run([*_UV, *build, dist, source], check=True)
    (wheel,) = set(dist.glob("*.whl")) - before
    return wheel


@dataclasses.dataclass(frozen=True)
class Installation:
    """A folder such as ``/opt/infmap-kit``."""

    prefix: Path

    def add(self, name: str, source: Path) -> None:
        """Install the wheel of a source tree into ``versions/NAME``; nothing is fetched."""
        home = self.prefix / "versions" / name
        linked_environment(home, "node", "export", "embedded", ours=False)
        wheel = built(source, self.prefix / "dist" / name)
        install = ["pip", "install", "--quiet", "--offline", "--no-deps", "--python"]
        subprocess.run([*_UV, *install, home / "bin" / "python", wheel], check=True)
        # What `infmap-kit runtime` would bring.
        server = home / default_folder().relative_to(sys.prefix)
        server.parent.mkdir(parents=True)
        server.symlink_to(default_folder())

    def switch_to(self, name: str) -> None:
        """Let ``current`` name another version, as the installer does for an upgrade and for going back."""
        new = self.prefix / "new"
        new.symlink_to(f"versions/{name}")
        new.replace(self.prefix / "current")

    @property
    def program(self) -> tuple[str, ...]:
        """What the units start, whichever version it is."""
        return (str(self.prefix / "current" / "bin" / "infmap-kit"),)
