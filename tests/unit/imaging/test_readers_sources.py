"""A radiograph from a path, an open file or a data set in memory: one reading."""

from __future__ import annotations

import copy
import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEG2000Lossless

from dicom_files import as_file, chest_dataset, encoded
from infmap_kit.errors import InputRejected
from infmap_kit.imaging import readers
from infmap_kit.imaging.readers import read_radiograph


def test_a_real_radiograph_is_the_same_from_every_source(chest_dicoms: list[Path]) -> None:
    path = chest_dicoms[0]
    dataset = pydicom.dcmread(path)
    before = copy.deepcopy(dataset)
    by_path, by_dataset = read_radiograph(path), read_radiograph(dataset)
    with path.open("rb") as file:
        by_file = read_radiograph(file, name="chest")
    for other in (by_file, by_dataset):
        assert np.array_equal(other.pixels, by_path.pixels)
        assert (other.notes, other.warnings) == (by_path.notes, by_path.warnings)
        assert other.header is not None
        assert by_path.header is not None
        assert other.header.SOPInstanceUID == by_path.header.SOPInstanceUID
    assert (by_path.name, by_file.name) == (path.name, "chest")
    assert dataset == before
    assert dataset.file_meta == before.file_meta


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, None])
def test_a_data_set_that_was_made_in_memory_is_read(syntax: str | None) -> None:
    made = chest_dataset()
    expected = read_radiograph(io.BytesIO(as_file(made))).pixels
    if syntax is None:
        plain = pydicom.Dataset(made)
        assert not hasattr(plain, "file_meta")
        made = plain
    else:
        made.file_meta.TransferSyntaxUID = syntax
    assert np.array_equal(read_radiograph(made).pixels, expected)


def test_a_compressed_data_set_is_read(tmp_path: Path) -> None:
    content = encoded(chest_dataset(), JPEG2000Lossless, tmp_path)
    by_dataset = read_radiograph(pydicom.dcmread(io.BytesIO(content)))
    assert np.array_equal(by_dataset.pixels, read_radiograph(io.BytesIO(content)).pixels)


def test_a_data_set_that_cannot_be_written_is_refused_without_quoting_it() -> None:
    dataset = chest_dataset()
    dataset.add_new("Rows", "US", "Mustermann")
    with pytest.raises(InputRejected, match="the radiograph: expected a data set") as caught:
        read_radiograph(dataset)
    assert caught.value.code == "unreadable"
    assert "Mustermann" not in str(caught.value)


def test_a_rejection_is_named_as_the_caller_names_it(chest_dicoms: list[Path]) -> None:
    lateral = pydicom.dcmread(chest_dicoms[0])
    lateral.ViewPosition = "LL"
    for source in (lateral, io.BytesIO(as_file(lateral))):
        with pytest.raises(InputRejected, match=r"^bed 3: ") as caught:
            read_radiograph(source, name="bed 3")
        assert caught.value.code == "lateral-view"


@pytest.mark.parametrize("source", ["chest.png", b"\x89PNG", None, io.StringIO("text")])
def test_other_sources_are_a_mistake_of_the_program(source: Any) -> None:
    with pytest.raises(TypeError, match="expected a"):
        read_radiograph(source)


def test_an_open_file_is_not_read_beyond_the_largest_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(readers, "MAX_FILE_BYTES", 2**20)
    endless = io.BytesIO(bytes(3 * 2**20))
    with pytest.raises(InputRejected, match="expected at most 1 MiB, found 2 MiB") as caught:
        read_radiograph(endless)
    assert caught.value.code == "too-large"
    assert endless.tell() == 2**20 + 1
