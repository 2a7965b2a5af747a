"""What `infmap-kit inspect` says of a DICOM file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import JPEGLSLossless, SecondaryCaptureImageStorage
from rich.console import Console

from dicom_files import as_file, chest_dataset, drawn_chest, encoded
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.explain import explain_dicom, explained


def _explained(folder: Path, content: bytes) -> tuple[dict[str, Any], str]:
    path = folder / "Secret.dcm"
    path.write_bytes(content)
    document = explain_dicom(path)
    console = Console(width=120)
    with console.capture() as capture:
        console.print(explained(document))
    text = capture.get()
    assert json.loads(json.dumps(document)) == document
    for hidden in ("ecret", "4711", "ACC0815", "1950", "2026"):
        assert hidden not in json.dumps(document) + text
    return document, text


def test_every_step_is_accounted_for(tmp_path: Path) -> None:
    dataset = chest_dataset(
        4095 - drawn_chest(),
        PhotometricInterpretation="MONOCHROME1",
        RescaleSlope=1,
        RescaleIntercept=-100,
        WindowCenter=[1948, 7],
        WindowWidth=[4096, 9],
        PatientOrientation=["R", "F"],
        PixelPaddingValue=4095,
    )
    document, text = _explained(tmp_path, encoded(dataset, JPEGLSLossless, tmp_path))
    assert document["rejected"] is None
    assert document["transfer_syntax"] == "JPEG-LS Lossless Image Compression"
    assert document["decoder"] == "imagecodecs"
    assert (document["rows"], document["columns"]) == (320, 260)
    assert document["bits"] == {"stored": 12, "allocated": 16, "high": 11, "values": "unsigned"}
    modality, voi, presentation, padding = document["steps"]
    assert modality == {"step": "modality", "kind": "rescale", "slope": 1.0, "intercept": -100.0}
    assert (voi["kind"], voi["centre"], voi["width"], voi["first_of"]) == ("window", 1948, 4096, 2)
    assert presentation == {"step": "presentation", "inverted": True, "because": "MONOCHROME1"}
    assert padding["shown_as"] == 0
    assert document["orientation"]["mirrored"]
    assert document["polarity"]["verdict"] == "right"
    for stated in ("JPEG-LS", "window", "1948", "MONOCHROME1", "12 of 16", "right"):
        assert stated in text


def test_a_reject_is_explained_as_far_as_it_went(tmp_path: Path) -> None:
    document, text = _explained(tmp_path, as_file(chest_dataset(BodyPartExamined="KNEE")))
    assert document["rejected"]["code"] == "not-a-chest"
    assert document["rejected"]["found"] == {"body_part": "KNEE"}
    assert document["modality"] == "CR"
    assert "steps" not in document
    assert "rejected: not-a-chest" in text


def test_a_negative_is_measured(tmp_path: Path) -> None:
    content = as_file(chest_dataset(PhotometricInterpretation="MONOCHROME1"))
    document, text = _explained(tmp_path, content)
    assert document["rejected"]["code"] == "polarity"
    assert document["polarity"]["verdict"] == "suspected wrong"
    assert document["polarity"]["likeness"] < document["polarity"]["negative_below"]
    assert document["steps"]
    assert "suspected wrong" in text


def test_a_secondary_capture_is_explained_all_the_same(tmp_path: Path) -> None:
    content = as_file(chest_dataset(SOPClassUID=SecondaryCaptureImageStorage))
    document, _ = _explained(tmp_path, content)
    assert document["rejected"]["code"] == "secondary-capture"
    assert document["secondary_capture"] is True
    assert document["polarity"]["verdict"] == "right"


def test_strange_words_are_not_repeated(tmp_path: Path) -> None:
    tags: dict[str, Any] = {
        "BodyPartExamined": "SECRETPART",
        "ViewPosition": "SECRET",
        "Modality": "SECRET",
    }
    document, _ = _explained(tmp_path, as_file(chest_dataset(**tags)))
    assert document["body_part"] == document["view"] == document["modality"] == "another one"


@pytest.mark.parametrize("keep", [200, 700, 1200])
def test_damaged_files(tmp_path: Path, keep: int) -> None:
    document, _ = _explained(tmp_path, as_file(chest_dataset())[:keep])
    assert document["rejected"]["code"] in ("unreadable", "truncated", "no-pixels", "modality")


def test_no_dicom_file(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("x")
    with pytest.raises(InputRejected, match="expected a DICOM file, found another"):
        explain_dicom(path)
    with pytest.raises(InputRejected, match="no such file"):
        explain_dicom(tmp_path / "nowhere.dcm")


def test_own_range_is_said(tmp_path: Path) -> None:
    dataset = chest_dataset(np.minimum(drawn_chest(), 4000), WindowCenter=None, WindowWidth=None)
    document, _ = _explained(tmp_path, as_file(dataset))
    (voi, _) = document["steps"]
    assert voi["kind"] == "own range"
    assert voi["what"].startswith("values scaled from ")
