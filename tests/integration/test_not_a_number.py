"""An engine that computes NaN for a radiograph says nothing about it, and "not detected" least of all."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from infmap_kit.cli import app
from infmap_kit.errors import InputRejected
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.imaging.readers import read_radiograph
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.serving.in_process import open_repository
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.triton.inference import find_infection
from small_network import overflowing_network


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("overflowing")
    onnx.save(overflowing_network(), folder / "network.onnx")
    source = read_source(folder / "network.onnx")
    publish(source, folder / "r", EmbeddedOptions(threads=1), pictures=synthetic_pictures()[:2])
    return folder / "r"


@pytest.fixture
def radiographs(tmp_path: Path) -> Path:
    """One that the network has numbers for, and one that is too bright for them."""
    folder = tmp_path / "radiographs"
    folder.mkdir()
    picture = synthetic_pictures()[0][1]
    cv2.imwrite(str(folder / "a.png"), picture)
    cv2.imwrite(str(folder / "b.png"), np.clip(picture.astype(np.int16) // 4 + 190, 0, 255))
    return folder


@pytest.mark.parametrize("exact", [True, False])
def test_it_is_refused(repository: Path, radiographs: Path, exact: bool) -> None:
    with open_repository(repository) as model:
        answer = find_infection(read_radiograph(radiographs / "a.png"), model, exact=exact)
        assert 0 <= answer.probability_max <= 1
        with pytest.raises(InputRejected, match="found NaN") as rejected:
            find_infection(read_radiograph(radiographs / "b.png"), model, exact=exact)
    assert rejected.value.code == "not-a-number"


def test_infer_names_it_and_goes_on(repository: Path, radiographs: Path, tmp_path: Path) -> None:
    asked = ["infer", str(radiographs), "-o", str(tmp_path / "out"), "--json"]
    done = CliRunner().invoke(app, [*asked, "--repository", str(repository)])
    assert isinstance(done.exception, InputRejected)
    first, second = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    assert "detected" in first
    assert second["rejected"]["code"] == "not-a-number"
    assert "detected" not in second
    assert list((tmp_path / "out").glob("b*.png")) == []
