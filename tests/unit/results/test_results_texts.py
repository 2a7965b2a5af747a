"""The texts of all four DICOM results, by the names of every character set, as DCMTK reads them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from conformance.cases import NAMES
from dicom_files import as_file, chest_dataset, with_raw
from findings import made_up
from infmap_kit.imaging.dicom.reader import decode_dicom
from infmap_kit.results.dicom.results import ResultKind, dicom_results

pytest.importorskip("highdicom", reason="needs infmap-kit[dicom]")

_TEXTS = {"0010,0010": "PatientName", "0008,0090": "ReferringPhysicianName"}
_MORE = {
    "ISO_IR 149": ("김^희중", "김^희중".encode("euc_kr")),
    r"\ISO_IR 149": ("김^희중", "김^희중".encode("euc_kr")),
    "UTF-8": ("王^小東", "王^小東".encode()),
    "ISO_IR 6": ("Miller^Anna", b"Miller^Anna"),
}


def _results(term: str | None, name: bytes, folder: Path) -> tuple[list[Path], list[str]]:
    """The files of all results of a chest with such a name, and the warnings' codes."""
    plain = name.replace(b"=", b" ")
    content = with_raw(
        as_file(chest_dataset()),
        SpecificCharacterSet=None if term is None else ("CS", term.encode()),
        PatientName=("PN", name),
        ReferringPhysicianName=("PN", name),
        # Between the escape sequences of Japanese a "^" may be half of a letter.
        StudyDescription=("LO", plain if b"\x1b$B" in plain else plain.replace(b"^", b" ")),
    )
    radiograph = decode_dicom(content, "x")
    assert radiograph.header is not None
    written = []
    for number, kind in enumerate(
        dicom_results(radiograph.header, radiograph, made_up(radiograph), kinds=tuple(ResultKind))
    ):
        written.append(folder / f"{number}.dcm")
        kind.save_as(written[-1], enforce_file_format=True)
    assert len(written) == 4
    return written, [warning.code for warning in radiograph.warnings]


def _as_dcmtk_reads(files: list[Path], tag: str, *options: str) -> list[str]:
    if shutil.which("dcmdump") is None:
        pytest.skip("needs Debian's dcmtk")
    command = ["dcmdump", *options, "+L", "+P", tag, *map(str, files)]
    done = subprocess.run(command, capture_output=True, check=True)
    lines = done.stdout.decode().splitlines()
    return [line.partition("[")[2].rpartition("]")[0] for line in lines if "[" in line]


@pytest.mark.parametrize(("term", "name"), (NAMES | _MORE).items(), ids=NAMES | _MORE)
def test_names_come_out_of_every_result_as_they_went_in(
    term: str, name: tuple[str, bytes], tmp_path: Path
) -> None:
    text, raw = name
    files, warned = _results(term or None, raw, tmp_path)
    for tag in _TEXTS:
        assert _as_dcmtk_reads(files, tag, "+U8") == [text] * 4
    described = set(_as_dcmtk_reads(files, "0008,1030", "+U8"))
    spaced = text.replace("=", " ")
    assert described == {spaced if b"\x1b$B" in raw else spaced.replace("^", " ")}
    assert ("character-set" in warned) == (term in _MORE and term != "ISO_IR 6")


@pytest.mark.parametrize("term", [None, "", "ISO_IR 6"])
def test_bytes_of_no_named_character_set_are_kept_under_no_name(
    term: str | None, tmp_path: Path
) -> None:
    raw = "Müller^Änne".encode("latin_1")
    files, warned = _results(term, raw, tmp_path)
    assert "character-set" in warned
    for file in files:
        assert raw in file.read_bytes()
    assert _as_dcmtk_reads(files, "0008,0005") == []


def test_what_cannot_be_read_is_marked_and_said(tmp_path: Path) -> None:
    for term in ("KLINGON 7", "ISO_IR 192"):
        files, warned = _results(term, b"M\xfcller^Anna", tmp_path)
        assert "character-set" in warned
        assert _as_dcmtk_reads(files, "0010,0010", "+U8") == ["M\ufffdller^Anna"] * 4
