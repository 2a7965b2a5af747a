"""The words for warnings, in every language, and where they are said: on the sheet and in the report."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dicom_files import chest_dataset
from findings import with_lungs
from infmap_kit.answer.answer import Answer
from infmap_kit.answer.familiarity import FamiliarityAnswer
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.radiograph import InputWarning, Radiograph, Reason, WarningCode
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.results.dicom.results import ResultKind, dicom_results, rejection_report
from infmap_kit.results.sheet.lettering import AMBER, Lettering
from infmap_kit.results.words.conclusion import warned
from infmap_kit.results.words.words import Words, languages
from written_results import content_items, report_conclusions, report_evaluations

SIDE = InputWarning(WarningCode.POSSIBLY_MIRRORED, "the chest is possibly mirrored (score -2.1)")


@pytest.fixture
def radiograph() -> Radiograph:
    return synthetic_radiograph(2, height=300, width=260).radiograph


@pytest.mark.parametrize("language", languages())
def test_every_warning_has_words_that_wrap(language: str) -> None:
    words = Words(language)
    said = {key.removeprefix("warnings.") for key in words.keys if key.startswith("warnings.")}
    assert said == set(WarningCode)
    sentences = warned([InputWarning(code, "its own text") for code in WarningCode], words)
    assert len(set(sentences)) == len(WarningCode)
    lettering = Lettering(pixels=40)
    for code, sentence in zip(WarningCode, sentences, strict=True):
        assert code not in sentence
        assert "its own text" not in sentence
        if language != "en":
            assert sentence not in warned([InputWarning(code, "")], Words())
        for width in (400, 2000):
            rows = lettering.rows(sentence, width)
            assert all(lettering.width(row) <= width for row in rows)
            assert "".join(rows).replace(" ", "") == sentence.replace(" ", "")


@pytest.mark.parametrize("language", languages())
def test_a_capital_follows_a_colon_only_where_the_language_has_it_so(language: str) -> None:
    words = Words(language)
    # A whole sentence behind a colon has a capital in German and a small letter in the others; behind a label,
    # such as "Warning:", it has one in all but Russian, whose labels end with a full stop.
    said = [text for key, text in zip(words.keys, words.texts, strict=True) if key != "warning"]
    behind = [letter for text in said for letter in re.findall(r" ?[:：] ?(\w)", text)]
    assert all(letter.isupper() == (language == "de") for letter in behind)
    for sentence in warned([InputWarning(code, "") for code in WarningCode], words):
        assert len(re.findall("[:：]", sentence)) == (language != "ru")


@pytest.mark.parametrize("language", languages())
def test_every_reject_has_words_and_the_report_names_no_code(language: str) -> None:
    words = Words(language)
    said = {key.removeprefix("rejections.") for key in words.keys if key.startswith("rejections.")}
    assert said == set(Reason)
    sentences = [words.rejection(InputRejected(code, "its own text")) for code in Reason]
    assert len(set(sentences)) == len(Reason)
    for sentence in sentences:
        assert sentence[-1] in ".。"
        assert "its own text" not in sentence
        if language == "en":
            # As long as the meaning of a code may be (PS3.5, LO), which is what viewers show of it.
            assert len(sentence.removesuffix(".")) <= 64
    rejection = InputRejected(Reason.POLARITY, "likeness -0.4", found={"likeness": -0.4})
    report = rejection_report(chest_dataset(), rejection, language=language)
    first, notice = report_conclusions(report)
    assert words.rejection(rejection) in first
    assert "polarity" not in first
    assert notice == words("notice")
    reason = report_evaluations(report)["Reason for not evaluating"]
    assert f"{reason}." == Words().rejection(rejection)


def test_a_warning_is_said_once_and_one_without_words_says_its_own() -> None:
    again = InputWarning(WarningCode.POSSIBLY_MIRRORED, "for another reason")
    other = InputWarning(Reason.NO_UID, "no object could be written")
    unknown: Any = "code-of-tomorrow"
    words = Words("fr")
    assert warned([SIDE, again, other, InputWarning(unknown, "its own words")], words) == [
        *warned([SIDE], words),
        f"Avertissement : {words.rejection(InputRejected(Reason.NO_UID, ''))}",
        "Avertissement : its own words",
    ]
    assert words.rejection(InputRejected(unknown, "its own words")) == "its own words."
    assert warned([], Words()) == []


def _amber(radiograph: Radiograph, answer: Answer) -> NDArray[np.bool_]:
    """Rows of a sheet in which something is written in the colour of warnings."""
    (written,) = dicom_results(
        chest_dataset(), radiograph, answer, kinds=[ResultKind.SECONDARY_CAPTURE]
    )
    rows: NDArray[np.bool_] = (written.pixel_array == AMBER).all(axis=-1).any(axis=1)
    return rows


def test_warnings_stand_on_the_sheet_below_the_pictures(radiograph: Radiograph) -> None:
    plain = with_lungs(radiograph)
    assert not _amber(radiograph, plain).any()
    doubtful = _amber(dataclasses.replace(radiograph, warnings=(SIDE,)), plain)
    assert doubtful.any()
    assert np.flatnonzero(doubtful).min() > len(doubtful) / 2
    # That of the model as well as those of the radiograph.
    parts = {**plain.parts, "familiarity": FamiliarityAnswer(value=-0.2)}
    assert _amber(radiograph, dataclasses.replace(plain, parts=parts)).any()


def test_the_report_concludes_with_warnings_in_its_language(radiograph: Radiograph) -> None:
    doubtful = dataclasses.replace(radiograph, warnings=(SIDE,))
    (report,) = dicom_results(
        chest_dataset(),
        doubtful,
        with_lungs(radiograph),
        kinds=[ResultKind.STRUCTURED_REPORT],
        language="zh",
    )
    *_, warning, notice = report_conclusions(report)
    assert warning == "警告：左右可能颠倒（镜像图像或右位心），请核对左右侧。"
    assert notice == Words("zh")("notice")
    # What was found stands below, for machines.
    texts = [item.get("TextValue") for item in content_items(report)]
    assert f"{SIDE.code}: {SIDE.text}" in texts
