"""Public data sets in small: their tables as they are published, with invented rows and pictures."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the training extra is not installed")

from dicom_files import as_file, chest_dataset
from infmap_kit.errors import TrainingError
from infmap_train.data.dataset import Sample
from infmap_train.data.layouts import read_dataset, read_folder, read_normals
from infmap_train.data.readers.registry import all_readers, choose_reader
from infmap_train.options import ReadOptions


def _picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((70, 80), 90, np.uint8))


def _dicom(path: Path, **tags: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(as_file(chest_dataset(**tags)))


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _nih(folder: Path) -> None:
    _text(
        folder / "Data_Entry_2017_v2020.csv",
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]\n"
        "00000013_000.png,No Finding,0,13,56,M,PA,2682,2749,0.143,0.143\n"
        "00000013_001.png,Cardiomegaly|Effusion,1,13,057Y,M,AP,2500,2048,0.168,0.168\n"
        "00000017_000.png,No Finding,0,17,80,F,PA,2500,2048,0.168,0.168\n"
        "00000099_000.png,No Finding,0,99,41,F,PA,2500,2048,0.168,0.168\n",
    )
    for name in ("00000013_000", "00000013_001", "00000017_000", "00000055_003"):
        _picture(folder / "images_001" / "images" / f"{name}.png")


def _rsna(folder: Path) -> None:
    _text(
        folder / "stage_2_detailed_class_info.csv",
        "patientId,class\n"
        "0004cfab,Normal\n"
        "000924cf,No Lung Opacity / Not Normal\n"
        "00436515,Lung Opacity\n"
        "00436515,Lung Opacity\n"
        "000db696,Normal\n",
    )
    for name, age in (
        ("0004cfab", "051Y"),
        ("000924cf", "019Y"),
        ("00436515", ""),
        ("000db696", ""),
    ):
        path = folder / "stage_2_train_images" / f"{name}.dcm"
        _dicom(path, PatientID=name, PatientAge=age, ViewPosition="AP", PatientSex="F")
    mapping = [
        {"subset_img_id": "0004cfab", "img_id": "00000013_004.png", "orig_labels": ["No Finding"]},
        {"subset_img_id": "000db696", "img_id": "00000013_006.png", "orig_labels": ["No Finding"]},
    ]
    _text(folder / "pneumonia-challenge-dataset-mappings_2018.json", json.dumps(mapping))


def _padchest(folder: Path) -> None:
    table = (
        ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,"
        "ViewPosition_DICOM,Projection,MethodProjection,Pediatric,Labels\n"
        "0,20536686640136348236148679891455886468_k6ga29.png,0,20140915,20536,839860488694292331,"
        "1930.0,M,POSTEROANTERIOR,PA,Manual review of DICOM fields,No,\"['normal']\"\n"
        "1,20536686640136348236148679891455886468_k6ga30.png,0,20140915,20536,839860488694292331,"
        "1930.0,M,LATERAL,L,Manual review of DICOM fields,No,\"['normal']\"\n"
        "2,135803415504923515076821959678074435083.png,0,20150914,13580,313572750430997347,1970.0,F,"
        ",AP_horizontal,Manual review of DICOM fields,No,\"['pleural effusion', 'normal']\"\n"
    )
    folder.mkdir(parents=True)
    packed = folder / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz"
    packed.write_bytes(gzip.compress(table.encode()))
    for name in ("k6ga29", "k6ga30"):
        _picture(folder / "images" / f"20536686640136348236148679891455886468_{name}.png")
    _picture(folder / "images" / "135803415504923515076821959678074435083.png")


def _kermany(folder: Path) -> None:
    for name in (
        "train/NORMAL/IM-0115-0001.jpeg",
        "test/NORMAL/NORMAL2-IM-1427-0001.jpeg",
        "test/PNEUMONIA/person1_virus_6.jpeg",
        "train/PNEUMONIA/person1_bacteria_2.jpeg",
    ):
        _picture(folder / "chest_xray" / name)


def _indiana(folder: Path) -> None:
    _text(
        folder / "indiana_projections.csv",
        "uid,filename,projection\n"
        "1,1_IM-0001-4001.dcm.png,Frontal\n"
        "1,1_IM-0001-3001.dcm.png,Lateral\n"
        "2,2_IM-0652-1001.dcm.png,Frontal\n",
    )
    _text(
        folder / "indiana_reports.csv",
        "uid,MeSH,Problems,image,indication,comparison,findings,impression\n"
        '1,normal,normal,"Xray Chest PA and Lateral",Positive TB test,None.,"Clear, no effusion",Normal\n'
        '2,"Cardiomegaly/borderline",Cardiomegaly,Chest 2 views,XXXX pain,,"Borderline, XXXX",None\n',
    )
    for name in ("1_IM-0001-4001", "1_IM-0001-3001", "2_IM-0652-1001"):
        _picture(folder / "images" / "images_normalized" / f"{name}.dcm.png")


def _tuberculosis(folder: Path) -> None:
    for name, said in (
        ("ChinaSet_AllFiles/{}/CHNCXR_0001_0", "male 45yrs\nnormal\n"),
        ("ChinaSet_AllFiles/{}/CHNCXR_0327_1", "Female, 16 months\nright PTB\n"),
        ("MontgomerySet/{}/MCUCXR_0001_0", "Patient's Sex: F \nPatient's Age: 027Y\nnormal\n"),
    ):
        _picture(folder / f"{name.format('CXR_png')}.png")
        _text(folder / f"{name.format('ClinicalReadings')}.txt", said)
    _picture(folder / "ChinaSet_AllFiles" / "mask" / "CHNCXR_0001_0_mask.png")
    for side in ("leftMask", "rightMask"):
        _picture(folder / "MontgomerySet" / "ManualMask" / side / "MCUCXR_0001_0.png")


def _bimcv(folder: Path) -> None:
    heading = "\tPatientID\tReportID\tReport\tLabels\n"
    _text(
        folder / "derivatives" / "labels" / "labels_covid19_posi.tsv",
        f"{heading}0\tsub-S03045\tses-E06111\tneumonía\t['pneumonia', 'COVID 19']\n"
        "1\tsub-S03045\tses-E07000\tnormal\t['normal']\n"
        "2\tsub-S03050\tses-E08000\tdudosa\t['COVID 19 uncertain']\n",
    )
    _text(
        folder / "derivatives" / "labels" / "labels_SARS-cov-2_nega.tsv",
        f"{heading}0\tsub-S10000\tses-E20000\tnormal\t['normal']\n",
    )
    _text(
        folder / "participants.tsv",
        "participant\tmodality_dicom\tbody_parts\tage\tgender\n"
        "sub-S03045\t['DX']\t[['chest']]\t[65 66]\tM\nsub-S10000\t['CR']\t[['chest']]\t[41]\tF\n",
    )
    for subject, session, view in (
        ("S03045", "E06111", "vp-ap_dx"),
        ("S03045", "E06111", "vp-ll_dx"),
        ("S03045", "E07000", "vp-pa_dx"),
        ("S03050", "E08000", "vp-pa_cr"),
        ("S10000", "E20000", "vp-pa_cr"),
    ):
        place = folder / f"sub-{subject}" / f"ses-{session}" / "mod-rx"
        _picture(place / f"sub-{subject}_ses-{session}_run-1_bp-chest_{view}.png")


def _ieee8023(folder: Path) -> None:
    _text(
        folder / "metadata.csv",
        "patientid,offset,sex,age,finding,RT_PCR_positive,survival,view,modality,date,location,folder,"
        "filename,doi,url,license,clinical_notes,other_notes\n"
        "2,0,M,65,Pneumonia/Viral/COVID-19,Y,Y,PA,X-ray,2020,Vietnam,images,a.jpg,,,CC BY,,\n"
        "2,3,M,65,Pneumonia/Viral/COVID-19,Y,Y,L,X-ray,2020,Vietnam,images,b.jpg,,,CC BY,,\n"
        '3,4,F,,No Finding,N,,AP Supine,X-ray,2020,,images,c.png,,,CC BY-NC-SA,"one, two",\n'
        "4,4,F,30,Pneumonia/Bacterial,N,,AP,X-ray,2020,,images,d.png,,,,,\n"
        "4,4,F,30,Pneumonia/Bacterial,N,,Axial,CT,2020,,volumes,e.nii.gz,,,,,\n",
    )
    for name in ("a.jpg", "b.jpg", "c.png", "d.png"):
        _picture(folder / "images" / name)
    _picture(folder / "annotations" / "a.png")


Told = dict[str, tuple[str, str, dict[str, str]]]

# By the original name: class, group, and some of what else is told.
SETS: dict[str, tuple[Callable[[Path], None], str, Told]] = {
    "nih": (
        _nih,
        "Data_Entry_2017_v2020.csv",
        {
            "00000013_000": ("normal", "nih-13", {"view": "PA", "age": "56"}),
            "00000013_001": ("other", "nih-13", {"age": "57", "finding": "Cardiomegaly|Effusion"}),
            "00000017_000": ("normal", "nih-17", {"patient_id": "17"}),
        },
    ),
    "rsna": (
        _rsna,
        "stage_2_detailed_class_info.csv",
        {
            "0004cfab": ("normal", "nih-13", {"age": "51", "view": "AP", "sex": "F"}),
            "000924cf": ("other", "", {"age": "19", "finding": "No Lung Opacity / Not Normal"}),
            "00436515": ("other", "", {"finding": "Lung Opacity"}),
            "000db696": ("normal", "nih-13", {}),
        },
    ),
    "padchest": (
        _padchest,
        "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz",
        {
            "20536686640136348236148679891455886468_k6ga29": (
                *("normal", "padchest-839860488694292331"),
                {"view": "PA", "age": "84", "sex": "M"},
            ),
            "135803415504923515076821959678074435083": (
                *("other", "padchest-313572750430997347"),
                {"view": "AP_horizontal", "finding": "pleural effusion|normal"},
            ),
        },
    ),
    "kermany": (
        _kermany,
        "chest_xray/test/PNEUMONIA",
        {
            "IM-0115-0001": ("normal", "kermany-normal-0115", {"age": "1-5", "view": "AP"}),
            "NORMAL2-IM-1427-0001": ("normal", "kermany-normal-1427", {}),
            "person1_virus_6": ("other", "kermany-other-1", {"finding": "virus pneumonia"}),
            "person1_bacteria_2": ("other", "kermany-other-1", {"finding": "bacteria pneumonia"}),
        },
    ),
    "indiana": (
        _indiana,
        "indiana_projections.csv",
        {
            "1_IM-0001-4001": ("normal", "indiana-1", {"view": "Frontal"}),
            "2_IM-0652-1001": ("other", "indiana-2", {"finding": "Cardiomegaly"}),
        },
    ),
    "tuberculosis": (
        _tuberculosis,
        "ChinaSet_AllFiles/ClinicalReadings",
        {
            "CHNCXR_0001_0": ("normal", "shenzhen-0001", {"sex": "M", "age": "45", "view": "PA"}),
            "CHNCXR_0327_1": (
                *("other", "shenzhen-0327"),
                {"sex": "F", "age": "1", "finding": "right PTB"},
            ),
            "MCUCXR_0001_0": (
                *("normal", "montgomery-0001"),
                {"sex": "F", "age": "27", "finding": "normal"},
            ),
        },
    ),
    "bimcv": (
        _bimcv,
        "derivatives/labels/labels_SARS-cov-2_nega.tsv",
        {
            "sub-S03045_ses-E06111_run-1_bp-chest_vp-ap_dx": (
                *("covid", "sub-S03045"),
                {"age": "65", "sex": "M", "view": "AP", "finding": "pneumonia|covid 19"},
            ),
            "sub-S03045_ses-E07000_run-1_bp-chest_vp-pa_dx": ("other", "sub-S03045", {}),
            "sub-S03050_ses-E08000_run-1_bp-chest_vp-pa_cr": ("other", "sub-S03050", {}),
            "sub-S10000_ses-E20000_run-1_bp-chest_vp-pa_cr": (
                *("normal", "sub-S10000"),
                {"age": "41", "view": "PA"},
            ),
        },
    ),
    "ieee8023": (
        _ieee8023,
        "metadata.csv",
        {
            "a": ("covid", "cohen-2", {"licence": "CC BY", "age": "65", "view": "PA"}),
            "c": ("normal", "cohen-3", {"licence": "CC BY-NC-SA", "view": "AP Supine"}),
            "d": ("other", "cohen-4", {"finding": "Pneumonia/Bacterial"}),
        },
    ),
}


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
        _picture(tmp_path / name)
    assert choose_reader(tmp_path) is None


def test_every_reader_has_a_test_and_a_name_of_its_own() -> None:
    names = [reader.name for reader in all_readers()]
    assert sorted(names) == sorted({*SETS, "plain", "qata", "covid-qu-ex"})


def test_rsna_without_its_mapping_says_that_patients_are_unknown(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _rsna(tmp_path)
    (tmp_path / "pneumonia-challenge-dataset-mappings_2018.json").unlink()
    with caplog.at_level(logging.INFO, logger="infmap_train"):
        groups = {sample.group for sample in read_folder(tmp_path).samples}
    assert "who is who is not known, though patients recur" in caplog.text
    assert len(groups) == 4


def test_what_is_missing_or_not_frontal_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _nih(tmp_path / "nih")
    _padchest(tmp_path / "padchest")
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
    _nih(tmp_path)
    _ieee8023(tmp_path)
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
    _text(tmp_path / "index.csv", "name,file,class\n")
    choice = choose_reader(tmp_path)
    assert choice is not None
    assert choice.reader.name == "plain"


def test_a_table_without_its_columns_or_pictures_is_said(tmp_path: Path) -> None:
    _nih(tmp_path)
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
    _nih(tmp_path)
    _picture(tmp_path / "resized" / "00000013_000.png")
    with pytest.raises(TrainingError, match=r"00000013_000\.png is below .* twice, as .*resized"):
        read_folder(tmp_path)


def test_two_files_of_one_patient_in_dicom_are_one_group_that_names_nobody(tmp_path: Path) -> None:
    for number, patient in enumerate(("Meier-17", "Meier-17", "Huber-3", "")):
        _dicom(tmp_path / "ward" / f"{number}.dcm", PatientID=patient, PatientAge="070Y")
    samples = read_normals(tmp_path / "ward").samples
    groups = [sample.group for sample in samples]
    assert groups[0] == groups[1]
    assert len(set(groups)) == 3
    assert not any("Meier" in group or "Huber" in group for group in groups)
    assert not samples[3].patient_known
    assert {sample.details["age"] for sample in samples} == {"70"}


def test_files_named_as_nih_names_them_are_grouped_without_a_table(tmp_path: Path) -> None:
    for name in ("00000013_000", "00000013_001", "00000013_002", "00000014_000"):
        _picture(tmp_path / "control" / f"{name}.png")
    groups = [sample.group for sample in read_normals(tmp_path / "control").samples]
    assert groups == ["nih-13", "nih-13", "nih-13", "nih-14"]


def test_a_pattern_says_who_is_who_where_nobody_does(tmp_path: Path) -> None:
    for name in ("p1/a", "p1/b", "p2/a", "other"):
        _picture(tmp_path / "control" / f"{name}.png")
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
    _nih(tmp_path / "nih")
    _ieee8023(tmp_path / "nih")
    _indiana(tmp_path / "indiana")
    options = ReadOptions.of_training(recorded)
    assert read_folder(tmp_path / "nih", options).reader == "nih"
    assert len(read_dataset(tmp_path / "indiana", options)) == 2
    assert ReadOptions.of_training({"epochs": 3}) != options
    with pytest.raises(TrainingError, match="--reader nih reads"):
        read_folder(tmp_path / "indiana", ReadOptions(reader="nih"))


def test_an_index_knows_better_than_a_pattern_and_a_header(tmp_path: Path) -> None:
    rows = ["name,file,class,group"]
    for number, group in enumerate(("a", "a", "", "")):
        _dicom(tmp_path / f"{number}.dcm", PatientID="one")
        rows.append(f"n{number},{number}.dcm,normal,{group}")
    _text(tmp_path / "index.csv", "\n".join(rows) + "\n")
    groups = [sample.group for sample in read_dataset(tmp_path)]
    assert groups[:2] == ["a", "a"]
    assert groups[2] == groups[3] != "a"
