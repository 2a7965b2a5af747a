"""What is drawn, shown and written of a course."""

from __future__ import annotations

import csv
import html
import io
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rich.console import Console

from findings import MODEL, made_up
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.progression.course import Course, line_up
from infmap_kit.progression.noise import Noise
from infmap_kit.progression.output.chart import chart
from infmap_kit.progression.output.document import course_csv
from infmap_kit.progression.output.maps import SIDE, small_map
from infmap_kit.progression.output.page import course_table, page, sentences
from infmap_kit.progression.output.picture import MOST_MAPS, draw
from infmap_kit.progression.output.writing import write_course
from infmap_kit.progression.reading import Reading
from infmap_kit.progression.result import parse_result
from infmap_kit.results.dicom.results import ResultKind, dicom_results
from infmap_kit.results.sheet.sheet import Capture
from pictures import read_picture
from results import noise_document, result_document, write_results

SVG = "{http://www.w3.org/2000/svg}"


def _course(
    *documents: dict[str, Any], folder: Path = Path(), noise: Noise | None = None
) -> Course:
    results = [parse_result(one, folder / f"{i}.json") for i, one in enumerate(documents)]
    return line_up(Reading(results=tuple(results)), noise=noise)


def _svg(course: Course) -> ET.Element:
    text = chart(course).svg()
    text = text.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return ET.fromstring(text)  # noqa: S314  # of our own making


def test_the_curve_lies_where_the_figures_are() -> None:
    """Measured in the drawing: days to the right, percent upwards, both in proportion."""
    course = _course(
        *(result_document(n, severity_percent=s) for n, s in ((0, 10), (1, 20), (4, 0)))
    )
    dots = [
        (float(d.get("cx", 0)), float(d.get("cy", 0))) for d in _svg(course).iter(f"{SVG}circle")
    ]
    (x0, y0), (x1, y1), (x2, y2) = dots
    assert (x2 - x0) / (x1 - x0) == pytest.approx(4, abs=0.01)
    assert (y2 - y0) / (y0 - y1) == pytest.approx(1, abs=0.01)
    assert y1 < y0 < y2


def test_dashes_say_that_nothing_is_called(tmp_path: Path) -> None:
    (path,) = write_results(tmp_path, noise_document(0.5))
    documents = [result_document(n, severity_percent=s) for n, s in ((0, 10), (1, 20), (2, 20.1))]

    def dashed(noise: Noise | None) -> list[bool]:
        drawn = _svg(_course(*documents, noise=noise)).iter(f"{SVG}path")
        lines = [
            one for one in drawn if "stroke:var(--c0);stroke-width:2.4" in one.get("style", "")
        ]
        # The last is the legend's.
        return [one.get("stroke-dasharray") is not None for one in lines[:-1]]

    assert dashed(None) == [True, True]
    assert dashed(Noise.read(path)) == [False, True]


def test_grades_are_drawn_where_all_agree_on_the_cut_offs() -> None:
    model = {**MODEL, "grades": "0,8,11"}
    graded = [result_document(n, grade="mild", model=model) for n in range(2)]
    words = {text.text for text in _svg(_course(*graded)).iter(f"{SVG}text")}
    assert {"mild", "moderate", "severe"} <= words
    del graded[1]["grade"]
    words = {text.text for text in _svg(_course(*graded)).iter(f"{SVG}text")}
    assert "moderate" not in words


def test_a_severity_keeps_to_its_side_of_a_grades_end_wherever_it_is_shown() -> None:
    model = {**MODEL, "grades": "0,25,50"}
    beside = ((0, 24.96, "mild"), (1, 50.04, "severe"))
    course = _course(
        *(result_document(n, severity_percent=s, grade=g, model=model) for n, s, g in beside)
    )
    drawn = draw(course, [None, None]).svg()
    for row, figure in zip(course_table(course).rows, ("< 25.0", "> 50.0"), strict=True):
        assert row[2].startswith(figure)
        # Under its map, and at its dot.
        assert drawn.count(f"{html.escape(figure)} %") == 2
    assert len(re.findall(r"[25][05]\.0 %", drawn)) == 4, "and nowhere without its sign"


@pytest.mark.parametrize("count", [2, 3, 40])
def test_any_number_of_results_is_drawn(count: int) -> None:
    course = _course(*(result_document(n % 60) for n in range(count)))
    drawing = draw(course, [np.full((40, 30, 3), 90, np.uint8)] * count)
    pixels = cv2.imdecode(np.frombuffer(drawing.png(), np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    assert pixels.shape == (2 * drawing.height, 2 * drawing.width, 3)
    assert drawing.svg().count("<image") == min(count, MOST_MAPS)
    assert drawing.width < 1400


def test_results_of_one_moment_are_drawn() -> None:
    time = result_document(0)["study_time"]
    drawing = draw(_course(*(result_document(n, study_time=time) for n in range(2))), [None] * 2)
    assert "nan" not in drawing.svg()


def test_a_map_is_found_beside_its_json_only(tmp_path: Path) -> None:
    painted = np.zeros((700, 500, 3), np.uint8)
    painted[:350, :, 2] = 200  # red above, in OpenCV's order
    (tmp_path / "r").mkdir()
    for folder in (tmp_path, tmp_path / "r"):
        cv2.imwrite(str(folder / "map.png"), painted)
    (tmp_path / "r" / "map.png").rename(tmp_path / "r" / "here.png")
    here, above = (
        small_map(parse_result(result_document(infection_map=name), tmp_path / "r" / "0.json"))
        for name in ("here.png", "../map.png")
    )
    assert above is None
    assert here is not None
    assert here.shape[0] == SIDE
    assert here[10, 10].tolist() == [200, 0, 0]
    assert here[-10, 10].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    "content", [b"", b"text", b"\x89PNG\r\n\x1a\nbroken", b"\0" * 128 + b"DICM"]
)
def test_a_map_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "map.png").write_bytes(content)
    result = parse_result(result_document(infection_map="map.png"), tmp_path / "0.json")
    assert small_map(result) is None


def test_the_map_of_a_secondary_capture(tmp_path: Path) -> None:
    from dicom_files import chest_dataset

    pixels = synthetic_radiograph(3, height=320, width=260).radiograph.pixels
    radiograph = Radiograph(pixels, "x", "application/dicom")
    finding = made_up(radiograph)
    (capture,) = dicom_results(
        chest_dataset(),
        radiograph,
        finding,
        kinds=[ResultKind.SECONDARY_CAPTURE],
        capture=Capture.BARE,
    )
    capture.save_as(tmp_path / "1-sc.dcm", enforce_file_format=True)
    actual = small_map(
        parse_result(result_document(dicom=["1-seg.dcm", "1-sc.dcm"]), tmp_path / "0.json")
    )
    assert actual is not None
    assert finding.infection_map is not None
    # The line at its foot apart, which is burned in.
    np.testing.assert_array_equal(actual[:280], finding.infection_map[:280])


def test_names_are_text_everywhere() -> None:
    name = "=[red]<script>&x.png"
    course = _course(result_document(0, source=name), result_document(1))
    html = page(course, [None, None])
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    console = Console(file=io.StringIO(), width=200)
    console.print(course_table(course))
    assert isinstance(console.file, io.StringIO)
    assert name in console.file.getvalue()
    rows = list(csv.DictReader(io.StringIO(course_csv(course))))
    assert rows[0]["radiograph"] == f"'{name}"


def test_everything_is_written(tmp_path: Path) -> None:
    course = _course(*(result_document(n, severity_at_threshold={"0.3": 12.0}) for n in range(3)))
    written = write_course(course, tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(
        path.name for path in written
    )
    rows = list(csv.DictReader((tmp_path / "new" / "progression.csv").open()))
    assert [row["total_severity_percent"] for row in rows] == ["10.0", "11.0", "12.0"]
    assert {row["severity_percent_at_0.3"] for row in rows} == {"12.0"}
    assert read_picture(tmp_path / "new" / "progression.png").min() < 60
    html = (tmp_path / "new" / "progression.html").read_text()
    assert "img-src data:" in html
    for sentence in sentences(course)[:1]:
        assert sentence in html
