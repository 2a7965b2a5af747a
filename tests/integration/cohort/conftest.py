"""A small repository, and a small cohort."""

from __future__ import annotations

from pathlib import Path

import pytest

from cohorts import require_whole, run
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source, with_parts
from infmap_kit.targets.embedded import EmbeddedOptions
from made_once import MadeOnce
from radiograph_folders import write_mixed
from small_network import small_lung_run, small_run

COUNT = 26


@pytest.fixture(scope="session")
def small_repository(made_once: MadeOnce) -> Path:
    def make(folder: Path) -> None:
        source = with_parts(
            read_source(small_run(folder / "run")), {"lungs": small_lung_run(folder / "lungs")}
        )
        publish(source, folder / "r", EmbeddedOptions(threads=1), pictures=synthetic_pictures()[:1])

    return made_once("cohort", make) / "r"


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Radiographs: two of one content, one as DICOM under a patient's name, and a file that is none."""
    return write_mixed(tmp_path_factory.mktemp("radiographs"), COUNT, PatientAge="067Y")


@pytest.fixture(scope="session")
def undisturbed(
    cohort: Path, small_repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    told = run(cohort, output=output, repository=small_repository, workers=2, task_size=4)
    assert (told["done"], told["tasks"], told["deaths"]) == (COUNT, 7, 0)
    assert told["rejected"] == {"unknown-format": 1}
    require_whole(output)
    return output
