"""The Secondary Capture: what it shows, what it says in which language, and what it leaves out."""

from __future__ import annotations

import dataclasses
import html
import io
import re
import shutil
import subprocess
import typing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom import Dataset, dcmread

from dicom_files import as_file, chest_dataset
from findings import MODEL, with_lungs
from infmap_kit.answer.answer import Answer
from infmap_kit.errors import InfmapError, SpecError
from infmap_kit.imaging.colour import infection_map
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.imaging.readers import decode_radiograph
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.finding import COVID_19
from infmap_kit.model.paint import PAPER, Paint
from infmap_kit.node.config import CaptureKind, Rule
from infmap_kit.results.dicom.results import ResultKind, dicom_results
from infmap_kit.results.folder import ResultOptions
from infmap_kit.results.sheet.lettering import GREY, LATIN_FONT, SUBSET_FONT, Lettering
from infmap_kit.results.sheet.sheet import Capture, SheetText, draw_sheet
from infmap_kit.results.words.conclusion import conclusion
from infmap_kit.results.words.words import Words, languages

NOTHING = np.full((224, 224), 0.21, np.float32)


def _written(
    answer: Answer | None = None,
    *,
    language: str = "en",
    capture: Capture = Capture.BESIDE,
    **tags: Any,
) -> Dataset:
    radiograph = decode_radiograph(as_file(chest_dataset(**tags)), "x")
    assert radiograph.header is not None
    (written,) = dicom_results(
        radiograph.header,
        radiograph,
        answer or with_lungs(radiograph),
        kinds=[ResultKind.SECONDARY_CAPTURE],
        language=language,
        capture=capture,
    )
    return written


def _radiograph(height: int = 300, width: int = 260) -> Radiograph:
    return synthetic_radiograph(2, height=height, width=width).radiograph


def _conclusion(answer: Answer, words: Words, *, sides_stated: bool = False) -> list[str]:
    return conclusion(answer, COVID_19, words, sides_stated=sides_stated)


def _sheet(radiograph: Radiograph, answer: Answer, **options: Any) -> NDArray[np.uint8]:
    words = options.pop("words", Words())
    text = SheetText(conclusion=_conclusion(answer, words), remarks=[words("notice")])
    return draw_sheet(radiograph, answer, COVID_19, words, text, **options)


@pytest.mark.parametrize("capture", list(Capture))
def test_other_programs_read_the_lossless_pixels(capture: Capture, tmp_path: Path) -> None:
    written = _written(capture=capture, language="de")
    content = as_file(written)
    assert written.file_meta.TransferSyntaxUID.name == "JPEG-LS Lossless Image Compression"
    assert len(content) < written.Rows * written.Columns * 3 / 2
    (tmp_path / "x.dcm").write_bytes(content)
    if shutil.which("dciodvfy"):
        done = subprocess.run(
            ["dciodvfy", tmp_path / "x.dcm"], capture_output=True, text=True, check=False
        )
        assert "Error" not in done.stderr
    if not shutil.which("dcmdjpls"):
        pytest.skip("needs DCMTK")
    subprocess.run(["dcmdjpls", tmp_path / "x.dcm", tmp_path / "plain.dcm"], check=True)
    plain = dcmread(tmp_path / "plain.dcm")
    np.testing.assert_array_equal(plain.pixel_array, dcmread(io.BytesIO(content)).pixel_array)
    (origin,) = plain.SourceImageSequence
    assert origin.ReferencedSOPInstanceUID == chest_dataset().SOPInstanceUID


@pytest.mark.parametrize("stated", ["YES", "NO", None])
def test_burned_in_annotation_is_the_radiographs_own(stated: str | None) -> None:
    tags: dict[str, Any] = {} if stated is None else {"BurnedInAnnotation": stated}
    written = _written(**tags)
    assert written.get("BurnedInAnnotation") == stated
    assert "none of it identifies the patient" in written.DerivationDescription


def test_nothing_of_the_patient_is_drawn() -> None:
    plain = _written()
    other = _written(
        PatientName="Other^Person", PatientID="0815", AccessionNumber="X", StudyDate="20200202"
    )
    np.testing.assert_array_equal(plain.pixel_array, other.pixel_array)


def test_sides_are_marked_where_the_file_names_them_and_hide_nothing() -> None:
    radiograph = _radiograph()
    answer = with_lungs(radiograph)
    known, unknown = (_sheet(radiograph, answer, sides_known=side) for side in (True, False))
    rows = np.flatnonzero((known != unknown).any(axis=(1, 2)))
    # Above the pictures alone.
    assert rows.max() < 0.08 * known.shape[0]
    assert _written().PatientOrientation == ["L", "F"]
    assert not _written(PatientOrientation=None).PatientOrientation


@pytest.mark.parametrize(("height", "width"), [(512, 512), (3000, 2400), (300, 900)])
def test_the_radiograph_beside_its_map(height: int, width: int) -> None:
    radiograph = _radiograph(height, width)
    answer = with_lungs(radiograph, probability=NOTHING, lungs=np.zeros((224, 224), np.uint8))
    sheet = _sheet(radiograph, answer)
    alone = _sheet(radiograph, answer, capture=Capture.MAP)
    side = 1600 if max(height, width) > 1600 else 1024
    scale = side / max(height, width)
    size = round(width * scale), round(height * scale)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    assert answer.infection_map is not None
    for picture, whole in ((radiograph.pixels, sheet), (answer.infection_map, alone)):
        shown = cv2.resize(picture, size, interpolation=method)
        shown = shown if shown.ndim == 3 else np.repeat(shown[..., np.newaxis], 3, axis=-1)
        # The first panel begins at the left margin, below the title.
        left = side // 50
        tops = range(whole.shape[0] - size[1])
        column = whole[:, left : left + size[0]]
        assert any((column[top : top + size[1]] == shown).all() for top in tops)
    if width > 1.6 * height:
        # Below each other, so that no large part is black.
        assert sheet.shape[0] > 2 * size[1]
        assert sheet.shape[1] < 1.3 * size[0]
    else:
        assert sheet.shape[1] > 2 * size[0] > alone.shape[1] > size[0]


def test_contours_are_on_the_masks_edge_and_nowhere_else() -> None:
    radiograph = _radiograph(1024, 1024)
    answer = with_lungs(radiograph)
    sheet = _sheet(radiograph, answer, capture=Capture.MAP)
    size, left = 1024, 1024 // 50
    mask = cv2.resize(answer.probability, (size, size)) >= 0.5
    edge = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0
    white = (sheet[:, left : left + size] == 255).all(axis=-1)
    # Where the panel begins: the fit of the white pixels to the edge.
    top = max(range(40, 160), key=lambda row: int((white[row : row + size] & edge).sum()))
    drawn = white[top : top + size]
    near = cv2.dilate(edge.astype(np.uint8), np.ones((9, 9))) > 0
    assert (cv2.dilate(drawn.astype(np.uint8), np.ones((9, 9)))[edge] > 0).all()
    burned_in = radiograph.pixels > 250
    assert not (drawn & ~near & ~burned_in).any()


def test_the_scale_shows_the_paint_that_was_served() -> None:
    radiograph = _radiograph()
    bars = []
    for paint in (Paint(colours="cividis"), PAPER):
        answer = with_lungs(radiograph)
        painted = infection_map(radiograph.pixels, answer.probability, paint=paint)
        answer = dataclasses.replace(answer, infection_map=painted, paint=paint)
        sheet = _sheet(radiograph, answer, capture=Capture.MAP)
        bars.append({tuple(colour) for colour in sheet[:, -200:].reshape(-1, 3)})
    colour = cv2.applyColorMap(np.full((1, 1), 204, np.uint8), cv2.COLORMAP_CIVIDIS)[0, 0, ::-1]
    # At 80 %, on a middle gray.
    mixed = tuple(np.floor(0.48 * colour + 0.52 * 128 + 0.5).astype(np.uint8))
    assert mixed in bars[0]
    assert (128, 0, 0) in bars[1]


@pytest.mark.parametrize("language", languages())
def test_every_language_says_everything_and_fits(language: str) -> None:
    english, words = Words(), Words(language)
    radiograph = _radiograph(512, 420)
    for key, text in zip(english.keys, english.texts, strict=True):
        asked = set(re.findall(r"\{\w+\}", text))
        assert set(re.findall(r"\{\w+\}", words.texts[english.keys.index(key)])) == asked, key
    for changes in ({}, {"probability": NOTHING}, {"classifier_probability": 0.31}):
        answer = with_lungs(radiograph, **changes)
        sentences = _conclusion(answer, words)
        for width in (300, 3000):
            lettering = Lettering(pixels=40)
            for sentence in (*sentences, 30 * "x" + "，" + 200 * "y"):
                rows = lettering.rows(sentence, width)
                assert all(lettering.width(row) <= width for row in rows)
                assert "".join(rows).replace(" ", "") == sentence.replace(" ", "")
    sheet = _sheet(radiograph, answer, words=words)
    assert (sheet[-5:] == 0).all(), "the last line is not cut"


@pytest.mark.parametrize("capture", [Capture.BESIDE, Capture.MAP])
@pytest.mark.parametrize(
    ("height", "width", "language"),
    [(64, 3000, "de"), (3000, 64, "el"), (64, 64, "ru"), (400, 300, "zh"), (400, 2000, "en")],
)
def test_no_word_of_a_sheet_is_cut_or_written_over(
    height: int, width: int, language: str, capture: Capture
) -> None:
    radiograph, words = _radiograph(height, width), Words(language)
    sheet = _sheet(
        radiograph, with_lungs(radiograph), words=words, capture=capture, sides_known=True
    )
    for edge in (sheet[:4], sheet[-4:], sheet[:, :4], sheet[:, -4:]):
        assert not edge.any(), "what is cut reaches the edge"
    title = words("map" if capture is Capture.MAP else "radiograph")
    pixels = next(size for size in range(18, 45) if _stands_in(sheet[:140], title, size))
    contour = words("contour", threshold=words.threshold(0.5))
    for text in (words("map"), contour, words("lungs"), words.number(1)):
        assert _stands_in(sheet, text, pixels), text
    if width == 2000:
        # A wide radiograph leaves no band without anything.
        rows = "".join("x" if lit else " " for lit in (sheet.max(axis=2) > 40).any(axis=1))
        assert max(map(len, rows.split("x"))) < 60


def _stands_in(sheet: NDArray[np.uint8], text: str, pixels: int) -> bool:
    """Whether a text stands in a sheet, in gray, whole and with nothing over it."""
    lettering = Lettering(pixels=pixels, colour=GREY)
    alone = Image.new("RGB", (lettering.width(text), pixels))
    lettering.write(ImageDraw.Draw(alone), (0, 0), text)
    found = cv2.matchTemplate(sheet[..., 0].copy(), np.asarray(alone)[..., 0], cv2.TM_SQDIFF)
    # Of tens of thousands where a letter differs.
    return bool(found.min() < 2000)


@pytest.mark.parametrize("language", languages())
def test_the_foot_of_a_bare_map_is_in_its_language_and_short(language: str) -> None:
    words = Words(language)
    for height, width, most_rows in ((800, 64, 4), (64, 64, 0), (400, 300, 2)):
        radiograph = dataclasses.replace(
            _radiograph(height, width), header=chest_dataset(np.zeros((height, width), np.uint8))
        )
        (written,) = dicom_results(
            radiograph.header,
            radiograph,
            answer := with_lungs(radiograph),
            kinds=[ResultKind.SECONDARY_CAPTURE],
            language=language,
            capture=Capture.BARE,
        )
        picture = written.pixel_array
        assert answer.infection_map is not None
        changed = np.flatnonzero((picture != answer.infection_map).any(axis=(1, 2)))
        letters = max(10, 0.016 * min(height, 2 * width))
        assert len(changed) <= 1.4 * letters * most_rows + letters
        # In another language other pixels are white.
        foot = picture[changed.min() :] if len(changed) else picture[:0]
        assert bool(len(foot)) == (most_rows > 0)
        if width == 300:
            model = words("model", name=MODEL["model_name"], version=MODEL["model_version"])
            text = f"{model} · {words('short_notice')}"
            rows = Lettering(pixels=10).rows(text, width - 10)
            alone = Image.new("RGB", (Lettering(pixels=10).width(rows[-1]), 12))
            Lettering(pixels=10).write(ImageDraw.Draw(alone), (0, 0), rows[-1])
            white = (np.asarray(alone) == 255).all(axis=-1).astype(np.uint8)
            written_white = (foot == 255).all(axis=-1).astype(np.uint8)
            assert cv2.matchTemplate(written_white, white, cv2.TM_SQDIFF).min() < 1


def test_a_negative_says_no_more_than_is_known() -> None:
    radiograph = _radiograph()
    (only,) = _conclusion(with_lungs(radiograph, probability=NOTHING), Words())
    assert only == (
        "COVID-19 infection: no region reached the threshold of 0.50; highest probability 0.21. This does not "
        "exclude disease."
    )
    (only,) = _conclusion(with_lungs(radiograph, probability=NOTHING), Words("de"))
    assert "0,21" in only
    almost = with_lungs(radiograph, probability=np.full((224, 224), 0.4999, np.float32))
    assert "highest probability < 0.50." in _conclusion(almost, Words())[0]
    almost_sure = with_lungs(radiograph, probability=np.full((224, 224), 0.995, np.float32))
    assert "beträgt > 0,99 bei" in _conclusion(almost_sure, Words("de"))[0]


def test_sides_that_the_file_does_not_state_are_said_to_be_assumed() -> None:
    """Where a lung is named, and nowhere else."""
    radiograph = _radiograph()
    assumed = "The file does not state the sides. The patient's right is taken to be on the left of the image."
    answer = with_lungs(radiograph)
    stated, named = (_conclusion(answer, Words(), sides_stated=known) for known in (True, False))
    assert "Right lung" in stated[1]
    assert named == [*stated[:2], assumed, *stated[2:]]
    without_lungs = dataclasses.replace(answer, parts={})
    assert assumed not in _conclusion(without_lungs, Words())


def test_every_letter_of_the_translations_is_in_a_font() -> None:
    tools = pytest.importorskip("fontTools.ttLib")
    known = {
        chr(code) for path in (LATIN_FONT, SUBSET_FONT) for code in tools.TTFont(path).getBestCmap()
    }
    for language in languages():
        assert set("".join(Words(language).texts)) <= known, language
    # What no font has is a question mark, and no box.
    lettering = Lettering(pixels=20)
    assert lettering.width("\U0001f600") == lettering.width("?")


def test_a_language_that_has_no_words_is_refused() -> None:
    with pytest.raises(SpecError, match="expected a language of en, de, es, fr, zh, ru, el, found"):
        ResultOptions(language="xx")
    with pytest.raises(InfmapError, match="expected --capture of beside, map, bare, found 'all'"):
        ResultOptions(capture="all")
    rule = {"name": "r", "model": "m", "to": []}
    assert Rule(**rule, language="fr").language == "fr"  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected one of en, de, es, fr, zh, ru, el"):
        Rule(**rule, language="xx")  # type: ignore[arg-type]
    assert typing.get_args(CaptureKind) == tuple(Capture)


def test_words_of_another_alphabet_and_the_patients_name() -> None:
    report = {}
    sources: list[tuple[dict[str, Any], str]] = [
        ({"PatientName": "Müller^Jürgen", "SpecificCharacterSet": "ISO_IR 100"}, "de"),
        ({"PatientName": "Müller^Jürgen", "SpecificCharacterSet": "ISO_IR 100"}, "zh"),
        ({}, "el"),
    ]
    for tags, language in sources:
        radiograph = decode_radiograph(as_file(chest_dataset(**tags)), "x")
        assert radiograph.header is not None
        (written,) = dicom_results(
            radiograph.header,
            radiograph,
            with_lungs(radiograph),
            kinds=[ResultKind.STRUCTURED_REPORT],
            language=language,
        )
        report[language] = dcmread(io.BytesIO(as_file(written)))
    assert report["de"].SpecificCharacterSet == "ISO_IR 100"
    assert report["zh"].SpecificCharacterSet == report["el"].SpecificCharacterSet == "ISO_IR 192"
    assert {str(report[code].PatientName) for code in ("de", "zh")} == {"Müller^Jürgen"}
    for language, said in (("de", "höchste"), ("zh", "最高概率"), ("el", "μέγιστη")):
        first = next(
            one for one in report[language].ContentSequence if one.ValueType == "CONTAINER"
        )
        texts = [item.get("TextValue", "") for item in first.ContentSequence]
        assert any(said in text for text in texts)


def test_what_was_captured_in_another_way_is_another_object() -> None:
    made = [
        _written(language=language, capture=capture).SOPInstanceUID
        for language in ("en", "fr")
        for capture in Capture
    ]
    assert len(set(made)) == len(made)


def test_a_viewer_of_reports_shows_the_conclusion_first_and_names_every_figure(
    tmp_path: Path,
) -> None:
    if shutil.which("dsr2html") is None:
        pytest.skip("needs DCMTK: apt-get install dcmtk")
    radiograph = decode_radiograph(as_file(chest_dataset()), "x")
    assert radiograph.header is not None
    (report,) = dicom_results(
        radiograph.header,
        radiograph,
        with_lungs(radiograph),
        kinds=[ResultKind.STRUCTURED_REPORT],
        language="de",
    )
    (tmp_path / "x.dcm").write_bytes(as_file(report))
    subprocess.run(["dsr2html", tmp_path / "x.dcm", tmp_path / "x.html"], check=True)
    shown = html.unescape((tmp_path / "x.html").read_text("utf-8"))
    shown = " ".join(re.sub(r"<[^>]+>", " ", shown).split())
    assert shown.index("COVID-19-Infektion: Verdacht.") < shown.index("Imaging Measurements")
    for figure in (
        "Highest probability of infection of any pixel: 0.93",
        "Infected share of the lungs: 14.92 %",
        "Infected share of the right lung: 19.71 %",
        "Infected share of the left lung, lower zone: 26.79 %",
        "Infected share of the left lung, upper zone: 0.00 %",
    ):
        assert figure in shown
