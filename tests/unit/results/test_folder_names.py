"""Whatever a file is called, its results are written whole, found again, and shown without harm."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from dicom_files import as_file, chest_dataset
from findings import made_up
from infmap_kit.command import page
from infmap_kit.errors import InfmapError, InputRejected
from infmap_kit.imaging.readers import decode_radiograph
from infmap_kit.results.folder import ResultOptions, ResultsFolder, SourceFile
from infmap_kit.results.outcome import Outcome
from infmap_kit.results.tables import findings_table
from infmap_kit.text import one_line
from odd_names import ODD_NAMES, small_disk
from results import result_document

ALL_FORMATS = ResultOptions(formats=("png", "json", "dicom", "gsps"), identify=True)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_results_of_any_name_are_whole_and_lead_back_to_the_file(name: str, tmp_path: Path) -> None:
    radiograph = decode_radiograph(as_file(chest_dataset()), name)
    results = ResultsFolder(tmp_path, ALL_FORMATS)
    outcomes = [
        results.write_finding(
            results.named(SourceFile.of(Path("in", name), b"")), radiograph, made_up(radiograph)
        )
        for _ in range(2)
    ]
    assert len(list(tmp_path.iterdir())) == 2 * 6
    for outcome in outcomes:
        assert outcome.json_path is not None
        document = json.loads(outcome.json_path.read_bytes())
        assert os.fsencode(document["source"]) == os.fsencode(name)
        for written in (document["infection_map"], *document["dicom"]):
            assert (tmp_path / written).is_file()


def test_a_full_disk_leaves_no_map_without_its_json() -> None:
    radiograph = decode_radiograph(as_file(chest_dataset()), "x")
    with small_disk(160) as folder:
        results = ResultsFolder(folder, ResultOptions())
        written: list[Outcome] = []
        with pytest.raises(InfmapError, match=r"cannot write to /.*: No space left on device"):
            written.extend(
                results.write_finding(
                    results.named(SourceFile.of(Path(f"{number}.png"), b"")),
                    radiograph,
                    made_up(radiograph),
                )
                for number in range(20)
            )
        assert written
        assert {path.name for path in folder.iterdir()} == {
            path.name for one in written for path in (one.map_path, one.json_path) if path
        }


@given(st.text(st.characters()) | st.sampled_from(ODD_NAMES))
def test_what_is_shown_can_be_printed_and_stays_on_its_line(text: str) -> None:
    shown = one_line(text)
    assert shown.encode("utf-8").decode() == shown
    # Joiners are letters' own in some scripts, and turn nothing around.
    shapes = set(shown) - {"\u200c", "\u200d"}
    assert not {unicodedata.category(one) for one in shapes} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    if text.isprintable():
        assert shown == text


def test_tables_and_lines_show_odd_names_by_their_escapes(tmp_path: Path) -> None:
    radiograph = decode_radiograph(as_file(chest_dataset()), "x")
    results = ResultsFolder(tmp_path, ResultOptions(formats=("json",), identify=True))
    outcomes = [
        results.write_finding(
            results.named(SourceFile.of(Path(name), b"")), radiograph, made_up(radiograph)
        )
        for name in ODD_NAMES
    ]
    table = findings_table(outcomes)
    text = io.StringIO()
    Console(file=text, width=1000).print(table)
    shown = text.getvalue()
    for escaped in (r"M\xfcller.png", r"two\nlines.png", r"\x1b[2J", r"\u202egnp", "[red]x.png"):
        assert escaped in shown
    assert not {"\x1b", "\u202e"} & set(shown)
    with page.capture() as capture:
        page.print("rejected \u202e\x1b[2J\udcfc")
    assert capture.get() == "rejected \\u202e\\x1b[2J\\xfc\n"
    assert str(InputRejected("x", "why", file="two\nlines.png")) == r"two\nlines.png: why"


def _infmap_kit(
    *arguments: object, stdout: int | None = None, folder: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "infmap_kit", *map(str, arguments)],
        stdout=stdout or subprocess.PIPE, stderr=subprocess.PIPE, check=False, cwd=folder,
    )  # fmt: skip


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two results of one patient under every odd name each, in JSON as `infer` writes it."""
    folder = tmp_path_factory.mktemp("course")
    for number, name in enumerate(ODD_NAMES):
        document = result_document(number, source=name)
        stem = name if number % 2 else str(number)
        (folder / f"{stem[:100]}.json").write_text(json.dumps(document))
    return folder


def test_progression_takes_any_name(course: Path, tmp_path: Path) -> None:
    done = _infmap_kit("progression", course, "--output", tmp_path / "out")
    assert done.returncode == 0, done.stderr.decode()
    written = {path.suffix: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    sources = [one["source"] for one in json.loads(written[".json"])["results"]]
    assert len(sources) == len(ODD_NAMES)
    for content in (done.stdout, written[".csv"], written[".html"]):
        text = content.decode("utf-8")
        assert not {"\x1b", "\u202e"} & set(text)
    assert "<script>" not in written[".html"].decode()
    assert "&lt;script&gt;" in written[".html"].decode()
    assert "'=1+1.png" in written[".csv"].decode(), "no formula for a spreadsheet"
    assert json.loads(_infmap_kit("progression", course, "--json").stdout)


@pytest.mark.parametrize("arguments", [("--json",), ()])
def test_a_full_disk_behind_stdout_is_one_line(arguments: tuple[str, ...], course: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = _infmap_kit("progression", course, *arguments, stdout=full.fileno())
    assert done.returncode == 1
    lines = done.stderr.decode().splitlines()
    assert lines == ["error: cannot write to standard output: No space left on device"]


def test_a_reader_that_stops_early_gets_no_traceback(course: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = _infmap_kit("progression", course, "--json", stdout=writing)
    os.close(writing)
    assert done.returncode != 0
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


def test_what_the_system_refuses_is_one_line(tmp_path: Path) -> None:
    name = "two\nlines" + "n" * 300
    done = _infmap_kit("inspect", name, folder=tmp_path)
    assert done.returncode == 1
    assert len(done.stderr.decode().splitlines()) == 1
    assert r"two\nlines" in done.stderr.decode()
    assert b"File name too long" in done.stderr
