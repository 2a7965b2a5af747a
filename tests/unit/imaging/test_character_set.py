"""Names in every character set of DICOM, as DCMTK reads them, in results and beside wrong spellings."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_files import as_file, chest_dataset, with_raw
from infmap_kit.imaging.dicom.dataset import text_of
from infmap_kit.imaging.dicom.reader import decode_dicom
from infmap_kit.results.dicom.reference import reference

# Term of Specific Character Set, its codec, and a name that it can hold.
DEFINED = [
    ("ISO_IR 100", "latin_1", "Müller^Äsop"),
    ("ISO_IR 101", "iso8859_2", "Łukasz^Čapek"),
    ("ISO_IR 109", "iso8859_3", "Ĝirafo^Ŝipo"),
    ("ISO_IR 110", "iso8859_4", "Ķirsis^Ēriks"),
    ("ISO_IR 144", "iso8859_5", "Люкceмбypг"),
    ("ISO_IR 127", "iso8859_6", "قباني^لنزار"),
    ("ISO_IR 126", "iso8859_7", "Διονυσιος"),
    ("ISO_IR 138", "iso8859_8", "שרון^דבורה"),
    ("ISO_IR 148", "iso8859_9", "Çavuşoğlu"),
    ("ISO_IR 203", "iso8859_15", "Œuvre^Š€"),
    ("ISO_IR 166", "iso8859_11", "นามสกุล"),
    ("ISO_IR 13", "shift_jis", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    ("ISO_IR 192", "utf_8", "王^小東 김희중 Müller"),
    ("GB18030", "gb18030", "王^小东"),
    ("GBK", "gbk", "王^小东"),
]
SPELLED = [
    ("ISO_IR 149", "cp949", "김^희중"),
    ("ISO 2022 IR 149", "euc_kr", "김^희중"),
    ("ISO IR 192", "utf_8", "王^小東"),
    ("ISO-IR 192", "utf_8", "王^小東"),
    ("iso_ir192", "utf_8", "王^小東"),
    ("UTF-8", "utf_8", "Müller^Äsop"),
    ("utf8", "utf_8", "Müller^Äsop"),
    ("ISO-IR 100", "latin_1", "Müller^Äsop"),
    ("ISO_8859-1", "latin_1", "Müller^Äsop"),
    ("latin1", "latin_1", "Müller^Äsop"),
    ("ISO8859-5", "iso8859_5", "Люкceмбypг"),
    ("GB 18030", "gb18030", "王^小东"),
    ("EUC-KR", "cp949", "김^희중"),
    ("Shift_JIS", "shift_jis", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
    (r"\ISO_IR 149", "cp949", "김^희중"),
    (r"\ISO 2022 IR 149", "cp949", "김^희중"),
    (r"ISO_IR 6\ISO_IR 192", "utf_8", "王^小東"),
    ("ISO 2022 GB18030", "gb18030", "王^小东"),
    ("GB2312", "gb2312", "王^小东"),
    ("Windows-1251", "cp1251", "Мюллер"),
    ("BIG5", "big5", "王^小東"),
]


def _file(term: str, name: bytes) -> bytes:
    """A chest with a term and a name as they are, whatever pydicom thinks of them."""
    return with_raw(
        as_file(chest_dataset()),
        SpecificCharacterSet=("CS", term.encode()),
        PatientName=("PN", name),
    )


def _warned(content: bytes) -> tuple[str, list[str]]:
    """The name as it is read, and the warnings' codes."""
    radiograph = decode_dicom(content, "x")
    assert radiograph.header is not None
    return text_of(radiograph.header, "PatientName"), [w.code for w in radiograph.warnings]


@pytest.mark.parametrize(("term", "codec", "name"), DEFINED)
def test_every_defined_term_is_read_and_written(
    term: str, codec: str, name: str, tmp_path: Path
) -> None:
    content = _file(term, name.encode(codec))
    read, warned = _warned(content)
    assert read == name
    assert "character-set" not in warned
    assert _in_results(content, tmp_path) == name


@pytest.mark.parametrize(("term", "codec", "name"), SPELLED)
def test_wrong_spellings_are_read_and_become_utf_8(
    term: str, codec: str, name: str, tmp_path: Path
) -> None:
    content = _file(term, name.encode(codec))
    read, warned = _warned(content)
    assert read == name
    assert ("character-set" in warned) == (term != "ISO 2022 IR 149")
    assert _in_results(content, tmp_path) == name


def _in_results(content: bytes, folder: Path) -> str:
    """The name in what results copy, written to a file and read by DCMTK where it is there."""
    header = decode_dicom(content, "x").header
    assert header is not None
    referred = reference(header)
    referred.file_meta = chest_dataset().file_meta
    written = folder / "written.dcm"
    written.write_bytes(as_file(referred))
    dcmdump = shutil.which("dcmdump")
    if dcmdump is None:
        pytest.skip("needs Debian's dcmtk")
    command = [dcmdump, "+U8", "+P", "0010,0010", str(written)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.partition("[")[2].partition("]")[0]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_character_set_that_is_not_known_is_said_and_guessed_at_no_name() -> None:
    read, warned = _warned(_file("KLINGON 7", "Müller^Äsop".encode()))
    assert "character-set" in warned
    assert read.startswith("M\ufffd")
    assert "ü" not in read
    assert "Ã" not in read


def test_bytes_that_their_own_character_set_does_not_know_are_said() -> None:
    read, warned = _warned(_file("ISO_IR 192", b"M\xfcller"))
    assert "character-set" in warned
    assert "\ufffd" in read


def test_no_character_set_is_said_and_results_keep_the_bytes() -> None:
    name = "Müller".encode("latin_1")
    content = _file("ISO_IR 6", name).replace(b"ISO_IR 6", b"        ")
    radiograph = decode_dicom(content, "x")
    assert "character-set" in [warning.code for warning in radiograph.warnings]
    assert radiograph.header is not None
    referred = reference(radiograph.header)
    referred.file_meta = chest_dataset().file_meta
    assert name in as_file(referred)


def test_ascii_needs_no_word(tmp_path: Path) -> None:
    for term in ("KLINGON 7", "UTF-8", "ISO_IR 100"):
        read, warned = _warned(_file(term, b"Miller^Anna"))
        assert read == "Miller^Anna"
        assert "character-set" not in warned


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["", *(term for term, *_ in DEFINED + SPELLED), "ISO 2022 IR 87"]),
        max_size=3,
    ).map("\\".join),
    st.lists(
        st.sampled_from([b"\x1b$B", b"\x1b(B", b"\x1b-F", b"\x1b$)C", b"\x1b", b"^", b"=", b"\\"])
        | st.binary(max_size=6)
    ).map(b"".join),
)
def test_any_bytes_of_a_name_are_read_or_said(term: str, name: bytes) -> None:
    content = with_raw(
        as_file(chest_dataset()),
        SpecificCharacterSet=("CS", term.encode()),
        PatientName=("PN", name),
        PatientID=("LO", name),
    )
    read, warned = _warned(content)
    assert "character-set" in warned or "\ufffd" not in read
    assert "\x1b" not in read
