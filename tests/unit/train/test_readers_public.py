"""Readers of public data sets tell class, patient, view and age, and say what is missing."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="the training extra is not installed")

from infmap_kit.errors import TrainingError
from infmap_train.data.dataset import Sample
from infmap_train.data.layouts import read_dataset, read_folder, read_normals
from infmap_train.data.readers.registry import all_readers, choose_reader
from infmap_train.options import ReadOptions
from public_sets import (
    SETS,
    write_dicom,
    write_ieee8023,
    write_indiana,
    write_nih,
    write_padchest,
    write_picture,
    write_rsna,
    write_text,
)


def _original(sample: Sample) -> str:
    return sample.image.name.partition(".")[0]


@pytest.mark.parametrize("name", SETS)
def test_a_public_set_tells_class_patient_view_and_age(name: str, tmp_path: Path) -> None:
    write, mark, told = SETS[name]
    write(tmp_path / "set")
    read = read_folder(tmp_path / "set")
    assert (read.reader, read.reason) == (name, f"found {mark}")
    samples = {_original(sample): sample for sample in read.samples}
    assert set(samples) == set(told)
    for stem, (kind, group, details) in told.items():
        sample = samples[stem]
        assert (sample.kind, sample.covid) == (kind, kind == "covid")
        if group:
            assert sample.group == group
        assert {key: sample.details.get(key) for key in details} == details, stem
    if name == "tuberculosis":
        assert [stem for stem, s in samples.items() if s.lung_mask] == ["CHNCXR_0001_0"]


@pytest.mark.parametrize("name", SETS)
def test_normals_are_taken_of_a_public_set_and_of_no_other_class(name: str, tmp_path: Path) -> None:
    write, _, told = SETS[name]
    write(tmp_path / "set")
    samples = read_normals(tmp_path / "set").samples
    normal = {stem for stem, (kind, _, _) in told.items() if kind == "normal"}
    assert {_original(sample) for sample in samples} == normal


def test_other_sets_with_folders_called_as_kermanys_are_not_taken_for_it(tmp_path: Path) -> None:
    for name in ("NORMAL/1.jpg", "PNEUMONIA/1.jpg", "COVID19/1.jpg"):
        write_picture(tmp_path / name)
    assert choose_reader(tmp_path) is None


def test_every_reader_has_a_test_and_a_name_of_its_own() -> None:
    names = [reader.name for reader in all_readers()]
    assert sorted(names) == sorted({*SETS, "plain", "qata", "covid-qu-ex"})


def test_rsna_without_its_mapping_says_that_patients_are_unknown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_rsna(tmp_path)
    (tmp_path / "pneumonia-challenge-dataset-mappings_2018.json").unlink()
    with caplog.at_level(logging.INFO, logger="infmap_train"):
        groups = {sample.group for sample in read_folder(tmp_path).samples}
    assert "who is who is not known, though patients recur" in caplog.text
    assert len(groups) == 4


def test_what_is_missing_or_not_frontal_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_nih(tmp_path / "nih")
    write_padchest(tmp_path / "padchest")
    with caplog.at_level(logging.INFO, logger="infmap_train"):
        read_folder(tmp_path / "nih")
        read_folder(tmp_path / "padchest")
    for told in (
        f"1 radiographs of {tmp_path / 'nih'} are not there",
        f"1 radiographs of {tmp_path / 'nih'} are not in the table",
        f"1 radiographs of {tmp_path / 'padchest'} are not frontal",
        "is read as PadChest: found PADCHEST",
    ):
        assert told in caplog.text


def test_a_reader_can_be_forced_and_is_refused_where_it_knows_nothing(tmp_path: Path) -> None:
    write_nih(tmp_path)
    write_ieee8023(tmp_path)
    with pytest.raises(
        TrainingError, match=r"several data sets \(ieee8023: .*; nih: .*--reader NAME"
    ):
        read_folder(tmp_path)
    assert read_folder(tmp_path, ReadOptions(reader="ieee8023")).reason == "--reader ieee8023"
    with pytest.raises(
        TrainingError, match="--reader rsna reads RSNA.*stage_2_detailed.*found none"
    ):
        read_folder(tmp_path, ReadOptions(reader="rsna"))
    with pytest.raises(TrainingError, match="one of bimcv, covid-qu-ex, .*found 'chexpert'"):
        read_folder(tmp_path, ReadOptions(reader="chexpert"))
    # An index beside other tables decides, as whoever wrote it means.
    write_text(tmp_path / "index.csv", "name,file,class\n")
    choice = choose_reader(tmp_path)
    assert choice is not None
    assert choice.reader.name == "plain"


def test_a_table_without_its_columns_or_pictures_is_said(tmp_path: Path) -> None:
    write_nih(tmp_path)
    table = tmp_path / "Data_Entry_2017_v2020.csv"
    text = table.read_text()
    for path in tmp_path.rglob("*.png"):
        path.unlink()
    with pytest.raises(TrainingError, match="not one of the 4 radiographs that nih's table names"):
        read_folder(tmp_path)
    table.write_text(text.replace("Patient ID", "Patient"))
    with pytest.raises(TrainingError, match="has no column Patient ID"):
        read_folder(tmp_path)


def test_a_radiograph_that_is_there_twice_is_said(tmp_path: Path) -> None:
    write_nih(tmp_path)
    write_picture(tmp_path / "resized" / "00000013_000.png")
    with pytest.raises(TrainingError, match=r"00000013_000\.png is below .* twice, as .*resized"):
        read_folder(tmp_path)


def test_two_files_of_one_patient_in_dicom_are_one_group_that_names_nobody(tmp_path: Path) -> None:
    for number, patient in enumerate(("Meier-17", "Meier-17", "Huber-3", "")):
        write_dicom(tmp_path / "ward" / f"{number}.dcm", PatientID=patient, PatientAge="070Y")
    samples = read_normals(tmp_path / "ward").samples
    groups = [sample.group for sample in samples]
    assert groups[0] == groups[1]
    assert len(set(groups)) == 3
    assert not any("Meier" in group or "Huber" in group for group in groups)
    assert not samples[3].patient_known
    assert {sample.details["age"] for sample in samples} == {"70"}


def test_files_named_as_nih_names_them_are_grouped_without_a_table(tmp_path: Path) -> None:
    for name in ("00000013_000", "00000013_001", "00000013_002", "00000014_000"):
        write_picture(tmp_path / "control" / f"{name}.png")
    groups = [sample.group for sample in read_normals(tmp_path / "control").samples]
    assert groups == ["nih-13", "nih-13", "nih-13", "nih-14"]


def test_a_pattern_says_who_is_who_where_nobody_does(tmp_path: Path) -> None:
    for name in ("p1/a", "p1/b", "p2/a", "other"):
        write_picture(tmp_path / "control" / f"{name}.png")
    options = ReadOptions(group_pattern=r"^p(\d+)/")
    samples = read_normals(tmp_path / "control", options).samples
    groups = {s.image.relative_to(tmp_path / "control").as_posix(): s.group for s in samples}
    assert groups["p1/a.png"] == groups["p1/b.png"] == "patient-1"
    assert groups["p2/a.png"] == "patient-2"
    assert groups["other.png"] == "control_other"
    with pytest.raises(TrainingError, match="finds nothing in the paths below .*, such as"):
        read_normals(tmp_path / "control", ReadOptions(group_pattern=r"x(\d+)"))
    with pytest.raises(TrainingError, match="expected a regular expression"):
        ReadOptions(group_pattern="(")


def test_how_a_run_was_read_is_left_aside_for_another_folder(tmp_path: Path) -> None:
    recorded = {"reader": "nih", "group_pattern": r"^p(\d+)/", "negatives": "other", "epochs": 3}
    write_nih(tmp_path / "nih")
    write_ieee8023(tmp_path / "nih")
    write_indiana(tmp_path / "indiana")
    options = ReadOptions.of_training(recorded)
    assert read_folder(tmp_path / "nih", options).reader == "nih"
    assert len(read_dataset(tmp_path / "indiana", options)) == 2
    assert ReadOptions.of_training({"epochs": 3}) != options
    with pytest.raises(TrainingError, match="--reader nih reads"):
        read_folder(tmp_path / "indiana", ReadOptions(reader="nih"))


def test_an_index_knows_better_than_a_pattern_and_a_header(tmp_path: Path) -> None:
    rows = ["name,file,class,group"]
    for number, group in enumerate(("a", "a", "", "")):
        write_dicom(tmp_path / f"{number}.dcm", PatientID="one")
        rows.append(f"n{number},{number}.dcm,normal,{group}")
    write_text(tmp_path / "index.csv", "\n".join(rows) + "\n")
    groups = [sample.group for sample in read_dataset(tmp_path)]
    assert groups[:2] == ["a", "a"]
    assert groups[2] == groups[3] != "a"
