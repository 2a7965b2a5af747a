"""Public data sets in small: their tables as they are published, with invented rows and pictures."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dicom_files import as_file, chest_dataset


def write_picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((70, 80), 90, np.uint8))


def write_dicom(path: Path, **tags: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(as_file(chest_dataset(**tags)))


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_nih(folder: Path) -> None:
    write_text(
        folder / "Data_Entry_2017_v2020.csv",
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]\n"
        "00000013_000.png,No Finding,0,13,56,M,PA,2682,2749,0.143,0.143\n"
        "00000013_001.png,Cardiomegaly|Effusion,1,13,057Y,M,AP,2500,2048,0.168,0.168\n"
        "00000017_000.png,No Finding,0,17,80,F,PA,2500,2048,0.168,0.168\n"
        "00000099_000.png,No Finding,0,99,41,F,PA,2500,2048,0.168,0.168\n",
    )
    for name in ("00000013_000", "00000013_001", "00000017_000", "00000055_003"):
        write_picture(folder / "images_001" / "images" / f"{name}.png")


def write_rsna(folder: Path) -> None:
    write_text(
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
        write_dicom(path, PatientID=name, PatientAge=age, ViewPosition="AP", PatientSex="F")
    mapping = [
        {"subset_img_id": "0004cfab", "img_id": "00000013_004.png", "orig_labels": ["No Finding"]},
        {"subset_img_id": "000db696", "img_id": "00000013_006.png", "orig_labels": ["No Finding"]},
    ]
    write_text(folder / "pneumonia-challenge-dataset-mappings_2018.json", json.dumps(mapping))


def write_padchest(folder: Path) -> None:
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
        write_picture(folder / "images" / f"20536686640136348236148679891455886468_{name}.png")
    write_picture(folder / "images" / "135803415504923515076821959678074435083.png")


def write_kermany(folder: Path) -> None:
    for name in (
        "train/NORMAL/IM-0115-0001.jpeg",
        "test/NORMAL/NORMAL2-IM-1427-0001.jpeg",
        "test/PNEUMONIA/person1_virus_6.jpeg",
        "train/PNEUMONIA/person1_bacteria_2.jpeg",
    ):
        write_picture(folder / "chest_xray" / name)


def write_indiana(folder: Path) -> None:
    write_text(
        folder / "indiana_projections.csv",
        "uid,filename,projection\n"
        "1,1_IM-0001-4001.dcm.png,Frontal\n"
        "1,1_IM-0001-3001.dcm.png,Lateral\n"
        "2,2_IM-0652-1001.dcm.png,Frontal\n",
    )
    write_text(
        folder / "indiana_reports.csv",
        "uid,MeSH,Problems,image,indication,comparison,findings,impression\n"
        '1,normal,normal,"Xray Chest PA and Lateral",Positive TB test,None.,"Clear, no effusion",Normal\n'
        '2,"Cardiomegaly/borderline",Cardiomegaly,Chest 2 views,XXXX pain,,"Borderline, XXXX",None\n',
    )
    for name in ("1_IM-0001-4001", "1_IM-0001-3001", "2_IM-0652-1001"):
        write_picture(folder / "images" / "images_normalized" / f"{name}.dcm.png")


def write_tuberculosis(folder: Path) -> None:
    for name, said in (
        ("ChinaSet_AllFiles/{}/CHNCXR_0001_0", "male 45yrs\nnormal\n"),
        ("ChinaSet_AllFiles/{}/CHNCXR_0327_1", "Female, 16 months\nright PTB\n"),
        ("MontgomerySet/{}/MCUCXR_0001_0", "Patient's Sex: F \nPatient's Age: 027Y\nnormal\n"),
    ):
        write_picture(folder / f"{name.format('CXR_png')}.png")
        write_text(folder / f"{name.format('ClinicalReadings')}.txt", said)
    write_picture(folder / "ChinaSet_AllFiles" / "mask" / "CHNCXR_0001_0_mask.png")
    for side in ("leftMask", "rightMask"):
        write_picture(folder / "MontgomerySet" / "ManualMask" / side / "MCUCXR_0001_0.png")


def write_bimcv(folder: Path) -> None:
    heading = "\tPatientID\tReportID\tReport\tLabels\n"
    write_text(
        folder / "derivatives" / "labels" / "labels_covid19_posi.tsv",
        f"{heading}0\tsub-S03045\tses-E06111\tneumonía\t['pneumonia', 'COVID 19']\n"
        "1\tsub-S03045\tses-E07000\tnormal\t['normal']\n"
        "2\tsub-S03050\tses-E08000\tdudosa\t['COVID 19 uncertain']\n",
    )
    write_text(
        folder / "derivatives" / "labels" / "labels_SARS-cov-2_nega.tsv",
        f"{heading}0\tsub-S10000\tses-E20000\tnormal\t['normal']\n",
    )
    write_text(
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
        write_picture(place / f"sub-{subject}_ses-{session}_run-1_bp-chest_{view}.png")


def write_ieee8023(folder: Path) -> None:
    write_text(
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
        write_picture(folder / "images" / name)
    write_picture(folder / "annotations" / "a.png")


Told = dict[str, tuple[str, str, dict[str, str]]]
# By the original name: class, group, and some of what else is told.
SETS: dict[str, tuple[Callable[[Path], None], str, Told]] = {
    "nih": (
        write_nih,
        "Data_Entry_2017_v2020.csv",
        {
            "00000013_000": ("normal", "nih-13", {"view": "PA", "age": "56"}),
            "00000013_001": ("other", "nih-13", {"age": "57", "finding": "Cardiomegaly|Effusion"}),
            "00000017_000": ("normal", "nih-17", {"patient_id": "17"}),
        },
    ),
    "rsna": (
        write_rsna,
        "stage_2_detailed_class_info.csv",
        {
            "0004cfab": ("normal", "nih-13", {"age": "51", "view": "AP", "sex": "F"}),
            "000924cf": ("other", "", {"age": "19", "finding": "No Lung Opacity / Not Normal"}),
            "00436515": ("other", "", {"finding": "Lung Opacity"}),
            "000db696": ("normal", "nih-13", {}),
        },
    ),
    "padchest": (
        write_padchest,
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
        write_kermany,
        "chest_xray/test/PNEUMONIA",
        {
            "IM-0115-0001": ("normal", "kermany-normal-0115", {"age": "1-5", "view": "AP"}),
            "NORMAL2-IM-1427-0001": ("normal", "kermany-normal-1427", {}),
            "person1_virus_6": ("other", "kermany-other-1", {"finding": "virus pneumonia"}),
            "person1_bacteria_2": ("other", "kermany-other-1", {"finding": "bacteria pneumonia"}),
        },
    ),
    "indiana": (
        write_indiana,
        "indiana_projections.csv",
        {
            "1_IM-0001-4001": ("normal", "indiana-1", {"view": "Frontal"}),
            "2_IM-0652-1001": ("other", "indiana-2", {"finding": "Cardiomegaly"}),
        },
    ),
    "tuberculosis": (
        write_tuberculosis,
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
        write_bimcv,
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
        write_ieee8023,
        "metadata.csv",
        {
            "a": ("covid", "cohen-2", {"licence": "CC BY", "age": "65", "view": "PA"}),
            "c": ("normal", "cohen-3", {"licence": "CC BY-NC-SA", "view": "AP Supine"}),
            "d": ("other", "cohen-4", {"finding": "Pneumonia/Bacterial"}),
        },
    ),
}
