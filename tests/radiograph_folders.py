"""Folders of radiographs of several kinds."""

from __future__ import annotations

from pathlib import Path

import cv2

from dicom_files import as_file, chest_dataset, drawn_chest
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph


def write_mixed(folder: Path, count: int, **tags: str) -> Path:
    """Write radiographs: two of one content, one as DICOM under a patient's name, and a file that is none.

    Parameters
    ----------
    folder
        Must be there.
    count
        Files in all.
    tags
        Elements of the DICOM file, by keyword.
    """
    for number in range(count - 3):
        drawn = synthetic_radiograph(number, height=330, width=280, infected=number % 2 == 0)
        cv2.imwrite(str(folder / f"{number:02}.png"), drawn.radiograph.pixels)
    (folder / "90.png").write_bytes((folder / "00.png").read_bytes())
    (folder / "91.png").write_text("no picture")
    (folder / "Doe^Jane.dcm").write_bytes(as_file(chest_dataset(drawn_chest(), **tags)))
    return folder
