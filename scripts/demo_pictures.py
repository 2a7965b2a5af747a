"""Gather the demo's radiographs: real ones that pydicom-data brings, and synthetic ones."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from infmap_kit.imaging.synthetic.folder import write_synthetic

_SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "dev"


def main(folder: Path) -> None:
    """Fill ``folder``; say what came from where."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    import data_store

    for path in sorted((Path(data_store.__file__).parent / "data").glob("RG1_UNC*.dcm")):
        shutil.copy(path, folder / path.name)
        print(f"  {path.name}: a real chest radiograph (CR), from pydicom-data")
    for path in write_synthetic(folder, count=2, size=1024):
        path.rename(folder / path.name)
        print(f"  {path.name}: synthetic")
    for leftover in ("images", "infection_masks", "lung_masks"):
        shutil.rmtree(folder / leftover)
    (folder / "index.csv").unlink()
    for name in (
        "images/qata_covid_1583.png",
        "images/qata_covid_1592.png",
        "control/nih_00001299_000.png",
    ):
        if (_SHARED / name).is_file():
            shutil.copy(_SHARED / name, folder)
            print(f"  {Path(name).name}: real, from the development data beside the project")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
