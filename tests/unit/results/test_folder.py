"""A folder holds what was asked for and no more, and each file's results under a name of their own."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from dicom_files import as_file, chest_dataset
from findings import made_up
from infmap_kit.answer.familiarity import FamiliarityAnswer
from infmap_kit.errors import InfmapError
from infmap_kit.imaging.radiograph import InputWarning, WarningCode
from infmap_kit.imaging.readers import decode_radiograph
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.results.folder import ResultOptions, ResultsFolder, SourceFile
from pictures import read_picture


def _source(path: str) -> SourceFile:
    return SourceFile.of(Path(path), b"")


@pytest.mark.parametrize(
    ("formats", "written"),
    [
        (("json",), {"json"}),
        (("png", "json"), {"infection_map.png", "json"}),
        (("json", "cam"), {"activation_map.png", "json"}),
        (("cam",), {"activation_map.png"}),
        (("sr",), {"sr.dcm"}),
    ],
)
def test_what_was_asked_for_is_written(
    formats: tuple[str, ...], written: set[str], tmp_path: Path
) -> None:
    radiograph = decode_radiograph(as_file(chest_dataset()), "x")
    looked = np.zeros((64, 64, 3), np.uint8)
    looked[10:20, 30:50] = (200, 100, 50)
    results = ResultsFolder(tmp_path, ResultOptions(formats=formats))
    answer = made_up(radiograph, activation_map=looked)
    outcome = results.write_finding(results.named(_source("a.png")), radiograph, answer)
    assert {path.name for path in tmp_path.iterdir()} == {f"a.{suffix}" for suffix in written}
    assert outcome.document is not None
    assert ("activation_map" in outcome.document) is ("cam" in formats)
    if "cam" in formats:
        path = tmp_path / outcome.document["activation_map"]
        assert outcome.cam_path == path
        np.testing.assert_array_equal(read_picture(path)[..., ::-1], looked)


def test_without_a_classifier_there_is_no_activation_map(tmp_path: Path) -> None:
    radiograph = decode_radiograph(as_file(chest_dataset()), "x")
    results = ResultsFolder(tmp_path, ResultOptions(formats=("json", "cam")))
    outcome = results.write_finding(
        results.named(_source("a.png")), radiograph, made_up(radiograph)
    )
    assert outcome.cam_path is None
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert "activation_map" not in json.loads((tmp_path / "a.json").read_bytes())


def test_the_terminal_names_every_warning_in_words(tmp_path: Path) -> None:
    radiograph = synthetic_radiograph(2, height=300, width=260).radiograph
    of_file = tuple(InputWarning(code, f"words of {code}") for code in WarningCode)
    answer = made_up(radiograph)
    answer = dataclasses.replace(answer, parts={"familiarity": FamiliarityAnswer(value=-0.2)})
    results = ResultsFolder(tmp_path, ResultOptions(formats=("json", "sc")))
    outcome = results.write_finding(
        results.named(_source("a.png")), dataclasses.replace(radiograph, warnings=of_file), answer
    )
    *of_code, of_model, of_results = outcome.doubts
    assert of_code == [f"{code}  a.png: words of {code}" for code in WarningCode]
    assert of_model.startswith("unfamiliar  a.png: the picture is unlike the radiographs")
    # Asked for, and not to be had of a PNG.
    assert of_results.startswith("no-dicom-source  a.png: expected a DICOM file")


def test_files_of_one_name_are_numbered(tmp_path: Path) -> None:
    results = ResultsFolder(tmp_path, ResultOptions())
    stems = [results.named(_source(f"{folder}/a.png")).stem for folder in "klmno"]
    assert stems == ["a", "a_png", "a_2", "a_3", "a_4"]


def test_a_name_that_two_files_have_is_shown_with_its_folder(tmp_path: Path) -> None:
    paths = ["k/a.png", "l/a.png", "l/b.png"]
    results = ResultsFolder(tmp_path, ResultOptions(), files=[Path(path) for path in paths])
    assert [results.named(_source(path)).shown for path in paths] == [*paths[:2], "b.png"]


def test_nothing_identifies_or_widens_what_is_read_unless_asked_for() -> None:
    options = ResultOptions()
    assert options.formats == ("png", "json")
    assert [options.identify, options.secondary_capture, options.mirrored] == [False] * 3


@pytest.mark.parametrize(
    ("formats", "exact", "painted"),
    [
        (("json",), False, False),
        (("png",), False, True),
        (("sr",), False, False),
        (("seg",), True, False),
        (("sc", "sr"), True, True),
        (("view",), True, False),
    ],
)
def test_what_the_model_is_asked_for_follows_from_the_formats(
    formats: tuple[str, ...], exact: bool, painted: bool
) -> None:
    options = ResultOptions(formats=formats)
    assert (options.exact, options.painted) == (exact, painted)


@pytest.mark.parametrize(("formats", "found"), [((), "nothing"), (("json", "gif"), "gif")])
def test_formats_that_do_not_exist_are_named(formats: tuple[str, ...], found: str) -> None:
    with pytest.raises(InfmapError, match=rf"some of png,json,dicom,.*found {found}$"):
        ResultOptions(formats=formats)
