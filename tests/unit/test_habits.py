"""What is kept beside the code: what is never committed, how it is cited, hooks, and how a release is made."""

from __future__ import annotations

import datetime as dt
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import infmap_kit
from dicom_files import as_file, chest_dataset
from infmap_kit.errors import InfmapError
from script_modules import load_script

ROOT = Path(__file__).parents[2]


def test_no_picture_but_the_synthetic_ones_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = load_script("refuse_files")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    monkeypatch.chdir(ROOT)
    tracked = [name for name in listed.stdout.decode().split("\0") if name and Path(name).exists()]
    assert {name: list(script.reasons(Path(name))) for name in tracked
            if any(script.reasons(Path(name)))} == {}  # fmt: skip
    # By its content, whatever it is called.
    radiograph, large = tmp_path / "notes.txt", tmp_path / "large.bin"
    radiograph.write_bytes(as_file(chest_dataset()))
    large.write_bytes(bytes(script.MAX_BYTES + 1))
    assert "no patient's radiograph" in next(script.reasons(radiograph))
    assert "at most 1024 KiB" in next(script.reasons(large))


def test_the_citation_names_this_version_and_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["version"] == infmap_kit.__version__
    assert citation["license"] == project["license"]
    assert citation["references"][0]["doi"] == "10.1007/s13755-021-00146-8"


def test_a_release_states_its_version_everywhere_and_keeps_the_changelog(tmp_path: Path) -> None:
    script = load_script("release")
    day = dt.date(2027, 1, 31)
    names = ("toolkit/infmap_kit/__init__.py", "CITATION.cff", "CHANGELOG.md")
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    before = {name: (tmp_path / name).read_text() for name in names}
    with pytest.raises(InfmapError, match="expected a version above"):
        script.release(tmp_path, "0.0.9", day)
    assert {name: (tmp_path / name).read_text() for name in names} == before
    script.release(tmp_path, "7.0.0", day)
    package, citation, changelog = ((tmp_path / name).read_text() for name in names)
    assert '__version__ = "7.0.0"' in package
    assert yaml.safe_load(citation)["version"] == "7.0.0"
    assert "## [Unreleased]\n\n## [7.0.0] - 2027-01-31\n" in changelog
    assert changelog.replace("\n## [7.0.0] - 2027-01-31\n", "", 1) == before["CHANGELOG.md"]
    # Nothing has changed since.
    for version, reason in (("7.0.0", "above 7.0.0"), ("7.0.1", "found none")):
        with pytest.raises(InfmapError, match=reason):
            script.release(tmp_path, version, day)


def test_hooks_are_local_and_fetch_nothing() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert {repo["repo"] for repo in config["repos"]} == {"local"}
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {hook["language"] for hook in hooks} == {"system"}
    scripts = [word for hook in hooks for word in hook["entry"].split() if "scripts/" in word]
    assert scripts
    assert all((ROOT / script).is_file() for script in scripts)
