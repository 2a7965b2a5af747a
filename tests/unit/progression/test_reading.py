"""Reading results that anybody may have written, tables of times, and what a node keeps."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from commands import run_command
from infmap_kit.errors import ProgressionError, SpecError
from infmap_kit.imaging.dicom.identity import hashed_uid
from infmap_kit.progression.fields import MAX_BYTES
from infmap_kit.progression.noise import Noise
from infmap_kit.progression.reading import read, read_times
from infmap_kit.progression.result import parse_result
from infmap_kit.text import json_line
from results import noise_document, result_document, write_results

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


_Found = TypeVar("_Found")


def _unless_refused(read_it: Callable[[], _Found]) -> _Found | None:
    """What was read; ``None`` when it was refused, in one line."""
    try:
        return read_it()
    except SpecError as error:
        stated = str(error)
    assert "\n" not in stated
    return None


@given(document=JSON_VALUES)
def test_no_document_does_harm(document: object) -> None:
    with pytest.raises(SpecError):
        parse_result(document, Path("x.json"))


@given(key=st.sampled_from([*result_document(), "lungs", "grade", "uids"]), value=JSON_VALUES)
def test_a_damaged_value_is_refused_or_harmless(key: str, value: object) -> None:
    """Whatever stands at a key: one line, or a result whose figures are in their ranges."""
    document = {**result_document(), key: value}
    result = _unless_refused(lambda: parse_result(document, Path("x.json")))
    if result is None:
        return
    assert 0 <= result.severity.percent <= 100
    assert 0 <= result.probability_max <= 1
    assert result.name.isprintable()
    assert all("/" not in name for name in result.pictures)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("", "is not JSON"),
        ('{"severity_percent": NaN}', "NaN is no number"),
        ('{"severity_percent": -Infinity}', "-Infinity is no number"),
        ("[" * 100_000, "nested too deep"),
        ('{"severity_percent": ' + "9" * 5000 + "}", "is not JSON"),
        ("[1, 2]", "expected an object"),
        ("\xff", "is not JSON"),
        (json.dumps(result_document(severity_percent=1e999)), "Infinity is no number"),
        (json.dumps(result_document()).replace("10.0", "1e999"), "from 0 to 100"),
        (json.dumps(result_document(severity_percent=-1)), "from 0 to 100"),
        (json.dumps(result_document(severity_percent=True)), "a number"),
        (json.dumps(result_document(severity_of="moon")), "severity_of"),
        (json.dumps(result_document(study_time="yesterday")), "yesterday"),
        (json.dumps(result_document(study_time="2026-01-05T10:00+01:00")), "without a zone"),
        (json.dumps(result_document(model={str(i): "" for i in range(65)})), "at most 64"),
        (json.dumps(result_document(grade="awful")), "one of none, mild"),
        (json.dumps(result_document(grade="mild", model={"grades": "5"})), "such as 0,25,50"),
        (json.dumps(result_document(severity_percent=None)), "severity_percent is missing"),
    ],
)
def test_a_named_file_that_is_no_result_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SpecError, match="x.json") as refused:
        read([path])
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(SpecError, match="at most 16 MiB"):
        read([path])


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.json")
    with pytest.raises(SpecError, match="no such file"):
        read([tmp_path / "x.json"])


def test_in_a_folder_the_others_go_on(tmp_path: Path) -> None:
    write_results(tmp_path, result_document(0), result_document(1), {"other": 1}, noise_document(1))
    (tmp_path / "4.json").write_text("{")
    reading = read([tmp_path])
    assert [result.source for result in reading.results] == ["chest_0.png", "chest_1.png"]
    assert [(one.name, one.damaged) for one in reading.skipped] == [
        ("2.json", False),
        ("4.json", True),
    ]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(result_document(2))[:-9],
        json.dumps(result_document(2)).replace("12.0", "NaN"),
        json.dumps(result_document(2, study_time="2026-02-30")),
        json.dumps([result_document(2), result_document(3, probability_max=7)]),
    ],
    ids=["cut", "NaN", "no date", "in a list"],
)
def test_a_course_without_a_damaged_result_says_so_and_ends_with_6(
    tmp_path: Path, text: str
) -> None:
    maps, report = tmp_path / "maps", tmp_path / "report"
    write_results(maps, result_document(0), result_document(1), {"other": 1})
    (maps / "last.json").write_text(text)
    done = run_command("infmap-kit", "progression", maps, "-o", report)
    assert done.returncode == 6
    rejected, error = done.stderr.splitlines()[-2:]
    assert rejected.startswith("rejected  last.json: ")
    assert error.startswith("error: 1 of 3 results were damaged")
    document = json.loads((report / "progression.json").read_text())
    (damaged,) = (one for one in document["skipped"] if one["damaged"])
    assert damaged["reason"] in html.unescape((report / "progression.html").read_text())
    assert "may be another" in (report / "progression.html").read_text()


def test_a_damaged_result_of_another_patient_is_no_matter(tmp_path: Path) -> None:
    others = result_document(2, study_time="never", patient="Q")
    write_results(tmp_path, result_document(0), others, result_document(3, study_time="never"))
    assert [one.name for one in read([tmp_path], patient="P").skipped] == ["2.json"]


def test_a_damaged_result_in_a_spool_is_said_unless_it_is_anothers(tmp_path: Path) -> None:
    (tmp_path / "node.db").touch()
    (tmp_path / "results").mkdir()
    texts = {
        "good": json.dumps(result_document()),
        "cut": "{",
        "hers": json.dumps(result_document(study_time="never")),
        "nobodys": json.dumps(result_document(patient=7)),
        "anothers": json.dumps(result_document(patient="Q", study_time="never")),
        "silent": json.dumps(result_document(patient=None)),
    }
    for name, text in texts.items():
        (tmp_path / "results" / f"{name}-finding.json").write_text(text)
    reading = read([], spool=tmp_path, patient="P")
    assert [result.file.name for result in reading.results] == ["good-finding.json"]
    assert all(one.damaged for one in reading.skipped)
    names = [one.name.removesuffix("-finding.json") for one in reading.skipped]
    assert names == ["cut", "hers", "nobodys"]


@pytest.mark.parametrize(
    ("total", "right", "left", "upper", "is_good"),
    [
        (99.0, 45.0, 15.0, 45.0, False),
        (14.9, 45.0, 15.0, 45.0, False),
        (14.96, 45.0, 15.0, 45.0, True),
        (30.0, 45.0, 15.0, 45.0, True),
        (45.0, 45.0, None, 45.0, True),
        (30.0, 45.0, None, 45.0, False),
        (30.0, 45.0, 15.0, 50.0, False),
    ],
)
def test_a_total_lies_between_its_parts(
    *, total: float, right: float, left: float | None, upper: float, is_good: bool
) -> None:
    lungs = {
        "right": {"severity_percent": right, "zones": {"upper": upper, "lower": None}},
        "left": {"severity_percent": left},
    }
    document = result_document(severity_percent=total, severity_of="lungs", lungs=lungs)
    result = _unless_refused(lambda: parse_result(document, Path("x.json")))
    assert (result is not None) is is_good


def test_what_infer_printed_is_read_with_its_rejections(tmp_path: Path) -> None:
    rejected = {
        "source": "in/foot.dcm",
        "rejected": {"code": "not-a-chest", "reason": "a foot", "found": {}},
    }
    # A list as it was printed once, and JSON Lines.
    (path,) = write_results(tmp_path, [result_document(0), rejected])
    lines = tmp_path / "printed.jsonl"
    lines.write_bytes(json_line(result_document(0)) + json_line(rejected))
    for printed in (path, lines):
        reading = read([printed])
        assert len(reading.results) == 1
        assert (reading.skipped[0].name, reading.skipped[0].reason) == (
            "foot.dcm",
            "rejected: not-a-chest: a foot",
        )
    lines.write_bytes(json_line(result_document(0)) + json_line(rejected)[:-9])
    with pytest.raises(SpecError, match="is not JSON"):
        read([lines])


def test_names_neither_move_the_cursor_nor_lead_elsewhere(tmp_path: Path) -> None:
    document = result_document(
        source="\x1b[2Jchest\n\ud800", infection_map="/etc/passwd", dicom=["../../x-sc.dcm", 7]
    )
    (path,) = write_results(tmp_path, document)
    (result,) = read([path]).results
    assert result.source == r"\x1b[2Jchest\n\ud800"
    assert result.pictures == ("passwd", "x-sc.dcm")


def test_a_table_gives_times_by_picture_or_by_json(tmp_path: Path) -> None:
    paths = write_results(tmp_path / "r", *(result_document(n, study_time=None) for n in range(2)))
    table = tmp_path / "times.csv"
    table.write_text(
        "\ufefffile,time,remark\nin/chest_0.png,2026-03-01,x\n1.json,2026-03-02T08:00,\nz.png,2026-01-01,\n"
    )
    reading = read(paths, times=table)
    assert [f"{result.taken}" for result in reading.results] == [
        "2026-03-01 00:00:00",
        "2026-03-02 08:00:00",
    ]
    assert reading.notes == ("the table of times names what is no result here: z.png",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "begin with file,time, found nothing"),
        ("a,b\n", "begin with file,time, found a,b"),
        ("file,time\nx.png\n", "line 2"),
        ("file,time\nx.png,soon\n", "line 2"),
        ("file,time\nx.png,2026-01-01T00:00Z\n", "without a zone"),
        ("file,time\nx.png,2026-01-01\nx.png,2026-01-02\n", "one time for x.png"),
    ],
)
def test_a_bad_table_is_refused_at_its_line(tmp_path: Path, text: str, words: str) -> None:
    table = tmp_path / "times.csv"
    table.write_text(text)
    with pytest.raises(SpecError) as refused:
        read_times(table)
    assert words in str(refused.value)


@given(content=st.binary(max_size=200))
def test_no_table_does_harm(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    table = tmp_path_factory.getbasetemp() / "fuzzed.csv"
    table.write_bytes(b"file,time\n" + content)
    _unless_refused(lambda: read_times(table))


def test_one_patient_of_many_by_id_or_by_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFMAP_UID_KEY", "key")
    patients = ["PAT-1", "PAT-2", hashed_uid("PAT-1"), None]
    write_results(tmp_path, *(result_document(i, patient=p) for i, p in enumerate(patients)))
    actual = read([tmp_path], patient="PAT-1").results
    assert [result.source for result in actual] == ["chest_0.png", "chest_2.png"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"paths": []}, "either results"),
        ({"paths": [Path("x")], "spool": Path("y"), "patient": "P"}, "either results"),
        ({"paths": [], "spool": Path("y")}, "--patient with --node-store"),
        ({"paths": [], "spool": Path("y"), "patient": "P"}, "found no node.db"),
    ],
)
def test_what_is_meant_must_be_clear(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ProgressionError, match=words):
        read(**arguments)


@given(key=st.sampled_from(list(noise_document(1.0))), value=JSON_VALUES)
@example(key="model", value={"\n": None})
def test_a_damaged_noise_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: object
) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.json"
    path.write_text(json.dumps({**noise_document(1.0), key: value}))
    noise = _unless_refused(lambda: Noise.read(path))
    for one in noise.radiographs if noise is not None else ():
        actual = one.range_of("total")
        assert actual is None or actual.low <= one.percent["total"] <= actual.high
