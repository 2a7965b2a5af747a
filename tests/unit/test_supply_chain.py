"""What setup installs: pinned, hashed, without a known weakness, and described beside the wheel."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from script_modules import load_script

ROOT = Path(__file__).parents[2]
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


AUDIT = load_script("audit")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_package_has_the_version_of_constraints_and_hashes(lock: Path) -> None:
    """`make lock` makes it so after a change; hashes are for every file of that version."""
    constraints = {
        canonicalize_name(one.name): str(one.specifier).removeprefix("==")
        for one in map(Requirement, (ROOT / "constraints.txt").read_text().split())
    }
    pinned = AUDIT.pinned(lock)
    assert pinned
    assert {name: constraints.get(name) for name in pinned} == pinned
    text = lock.read_text()
    entries = re.split(r"\n(?=[a-z0-9])", text.partition("make lock\n")[2])
    assert len(entries) == len(pinned)
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_no_address_of_a_package_index_is_written(lock: Path) -> None:
    assert not re.search(r"://|index-url|find-links|trusted-host", lock.read_text())


@pytest.mark.parametrize(
    ("lock", "extras"), [("serving", ["demo"]), ("everything", ["dev", "train"])]
)
def test_whatever_the_project_asks_for_is_in_its_lock(lock: str, extras: list[str]) -> None:
    """A dependency that was added without `make lock` would not be installed."""
    pinned = AUDIT.pinned(ROOT / "requirements" / f"{lock}.txt")
    waiting, asked = list(extras), list(PROJECT["dependencies"])
    seen: set[str] = set()
    while waiting:
        extra = waiting.pop()
        for line in PROJECT["optional-dependencies"][extra]:
            wanted = Requirement(line)
            if canonicalize_name(wanted.name) == PROJECT["name"]:
                waiting += wanted.extras - seen
                seen |= wanted.extras
            else:
                asked.append(line)
    for line in asked:
        wanted = Requirement(line)
        version = pinned.get(canonicalize_name(wanted.name))
        assert version is not None, f"{line} is not in {lock}: make lock"
        assert wanted.specifier.contains(version, prereleases=True)


def test_no_pinned_version_has_a_known_weakness() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "audit.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_audit_finds_what_setup_installed_before() -> None:
    """setuptools 65.5.0 stood in constraints.txt until hashes did."""
    snapshot = json.loads((ROOT / "requirements" / "advisories.json").read_text())
    found = AUDIT.findings({"setuptools": "65.5.0", "pillow": "13.0.0"}, snapshot)
    assert {line.split(":")[1].split(",")[0].strip() for line in found} == {
        "CVE-2022-40897", "CVE-2024-6345", "CVE-2025-47273"
    }  # fmt: skip
    snapshot["accepted"] = [{"id": "CVE-2024-6345", "package": "setuptools", "reason": ""}]
    assert len(AUDIT.findings({"setuptools": "65.5.0"}, snapshot)) == 3
    snapshot["accepted"][0]["reason"] = "package_index is never called"
    assert len(AUDIT.findings({"setuptools": "65.5.0"}, snapshot)) == 2


def test_the_bill_of_materials_holds_what_is_shipped_and_no_tools() -> None:
    names = load_script("sbom").shipped()
    assert {"numpy", "pydicom", "tritonclient", "pynetdicom", "cryptography", "protobuf"} <= names
    assert (
        not {"pytest", "mypy", "ruff", "hypothesis", "playwright", "mkdocs", "infmap-kit"} & names
    )


def test_the_bill_of_materials_is_valid_and_names_hashes_and_licences(tmp_path: Path) -> None:
    tool = ROOT / ".venv" / "sbom-tool" / "bin" / "python"
    if not tool.exists():
        pytest.skip("CycloneDX' tool is not installed: make sbom")
    script = ROOT / "scripts" / "sbom.py"
    command = [sys.executable, *map(str, (script, "--tool", tool, "--output", tmp_path))]
    subprocess.run(command, check=True, capture_output=True)
    (written,) = tmp_path.glob("*.cdx.json")
    document = json.loads(written.read_text())
    components = {part["name"].lower(): part for part in document["components"]}
    assert document["metadata"]["component"]["name"] == "infmap-kit"
    assert components["tritonserver"]["hashes"][0]["content"]
    for name in ("numpy", "pydicom", "openvino"):
        assert components[name]["licenses"]
        assert components[name]["purl"].startswith(f"pkg:pypi/{name}@")
    licences = (tmp_path / "THIRD-PARTY-LICENSES.txt").read_text()
    assert "pydicom 3" in licences
    assert "Redistribution and use in source and binary forms" in licences
