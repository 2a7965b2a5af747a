"""What all tests share: where real data lies, and pictures to ask about."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

from made_once import MadeOnce, folders_in
from orthanc import Orthanc, running_orthanc
from pictures import read_picture

ROOT = Path(__file__).resolve().parents[1]

# An example that takes 0.3 s beside four other tests says nothing of the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that train go first, then those of slow tests: begun last, one worker would be left with them."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path.parent.name != "train", item.path not in slow))


@pytest.fixture(autouse=True)
def own_log_lines() -> Iterator[None]:
    """Let each test see its own log lines, whatever a command set up in this process before it."""
    root, hook = logging.getLogger(), threading.excepthook
    handlers = list(root.handlers)
    root.setLevel(logging.WARNING)
    ours = [logger for name, logger in root.manager.loggerDict.items() if name.startswith("infmap")]
    for logger in ours:
        if isinstance(logger, logging.Logger):
            logger.setLevel(logging.NOTSET)
            logger.propagate, logger.disabled, logger.handlers = True, False, []
    yield
    root.handlers, threading.excepthook = handlers, hook


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Make a folder for all workers side by side: ``made_once(name, make)``; the others wait."""
    base = tmp_path_factory.getbasetemp()
    return folders_in(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base)


@pytest.fixture(scope="session")
def demo_model() -> Path:
    """Run folder of the committed demo model."""
    return ROOT / "training" / "demo_model"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Development data beside the project; tests that need it skip where it is not."""
    folder = ROOT.parent / "shared" / "data" / "dev"
    if not (folder / "index.csv").is_file():
        pytest.skip("needs the development data (../shared/data/dev), which is not here")
    return folder


@pytest.fixture(scope="session")
def chest_dicoms() -> list[Path]:
    """Real chest radiographs (CR) that the package pydicom-data brings."""
    import data_store

    return sorted((Path(data_store.__file__).parent / "data").glob("RG1_UNC*.dcm"))


@pytest.fixture(scope="session")
def radiographs(shared_data: Path) -> list[tuple[str, NDArray[np.uint8]]]:
    """Name and (H, W) uint8 of twelve real radiographs, half of them COVID-19."""
    chosen = [
        *sorted((shared_data / "images").glob("qata_*.png"))[:6],
        *sorted((shared_data / "control").glob("*.png"))[::170][:6],
    ]
    return [(path.name, read_picture(path, gray=True)) for path in chosen]


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """A real PACS, empty at first and shared: ask it for your own study, or clear it."""
    with running_orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running
