"""Where `infmap-kit demo` takes its model from, and what it refuses."""

from __future__ import annotations

import email
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infmap_kit import __version__
from infmap_kit.model.spec import Encoder, ModelSpec

ROOT = Path(__file__).parents[2]
LARGEST_BYTES = 12_000_000
"""Of a wheel with the edge network."""


@pytest.fixture(scope="module")
def companion(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dist = tmp_path_factory.mktemp("dist")
    build = ["uv", "build", "--quiet", "--wheel", "--no-build-isolation", "--out-dir", str(dist)]
    subprocess.run([sys.executable, "-m", *build, ROOT / "packages" / "demo"], check=True)
    (wheel,) = dist.glob("infmap_kit_demo-*.whl")
    return wheel


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder of packages with infmap-kit, outside any clone."""
    folder = tmp_path / "lib" / "python3" / "site-packages"
    folder.mkdir(parents=True)
    (folder / "infmap_kit").symlink_to(ROOT / "toolkit" / "infmap_kit")
    return folder


def _run(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, cwd=site.parent,
        env={**os.environ, "PYTHONPATH": str(site)},
    )  # fmt: skip


def _found(site: Path) -> Path:
    code = "from infmap_kit.demo.model import find_model; print(find_model())"
    return Path(_run(site, "-c", code).stdout.strip())


def test_without_the_companion_one_line_says_what_to_install(site: Path) -> None:
    done = _run(site, "-m", "infmap_kit", "demo", "--json")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith(": pip install infmap-kit-demo\n")
    assert done.stderr.count("\n") == 1
    assert json.loads(done.stdout)["exit_code"] == 1
    assert not list(site.parent.glob("infmap-demo*"))


def test_the_companion_carries_the_clones_model_and_is_held_to_its_hashes(
    site: Path, companion: Path, demo_model: Path
) -> None:
    with zipfile.ZipFile(companion) as wheel:
        wheel.extractall(site)
    model = _found(site)
    assert model == site / "infmap_kit_demo" / "model"
    contents = {path.name: path.read_bytes() for path in model.iterdir()}
    assert contents == {path.name: path.read_bytes() for path in demo_model.iterdir()}

    (model / "spec.json").write_text("{}")
    done = _run(site, "-m", "infmap_kit", "demo")
    assert done.returncode == 1
    assert f"{model / 'spec.json'} is not what was installed" in done.stderr


def test_the_companion_is_of_the_same_version(site: Path, companion: Path) -> None:
    with zipfile.ZipFile(companion) as wheel:
        wheel.extractall(site)
    (metadata,) = site.glob("infmap_kit_demo-*.dist-info/METADATA")
    stated = email.message_from_string(metadata.read_text())
    assert stated["Requires-Dist"] == f"infmap-kit[client,embedded,export]=={__version__}"
    assert stated["Version"] == __version__
    metadata.write_text(
        metadata.read_text().replace(f"\nVersion: {__version__}\n", "\nVersion: 0.0.9\n")
    )
    done = _run(site, "-m", "infmap_kit", "demo")
    assert done.returncode == 1
    assert done.stderr == (
        f"error: expected infmap-kit-demo {__version__}, the version of infmap-kit, found 0.0.9: "
        f"pip install infmap-kit-demo=={__version__}\n"
    )


def test_the_companion_of_an_edge_network_is_small(companion: Path, demo_model: Path) -> None:
    encoder = ModelSpec.read(demo_model / "spec.json").network.encoder
    if encoder is not Encoder.EFFICIENTNET_LITE_0:
        pytest.skip(f"the demo model is no edge network but {encoder}")
    assert companion.stat().st_size <= LARGEST_BYTES


def test_a_clone_takes_its_own_model(demo_model: Path) -> None:
    assert _found(ROOT / "toolkit") == demo_model


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    (theirs / "page").mkdir(parents=True)
    (theirs / "page" / "index.html").write_text("theirs")
    done = _run(ROOT / "toolkit", "-m", "infmap_kit", "demo", "--output", str(theirs))
    assert done.returncode == 1
    assert "is not empty" in done.stderr
    assert [path.name for path in theirs.rglob("*")] == ["page", "index.html"]
