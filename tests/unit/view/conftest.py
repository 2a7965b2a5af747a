"""Results to look through: made once, and a copy for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from infmap_kit.view.gallery import Gallery
from view_results import write_pictures, write_results


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures in ``in`` and what was found of them in ``out``."""
    folder = tmp_path_factory.mktemp("results")
    write_results(folder / "out", write_pictures(folder / "in"))
    return folder


@pytest.fixture
def gallery(made: Path, tmp_path: Path) -> Gallery:
    shutil.copytree(made / "in", tmp_path / "in")
    return Gallery(shutil.copytree(made / "out", tmp_path / "out"))
