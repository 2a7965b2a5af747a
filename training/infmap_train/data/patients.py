"""The patients of radiographs, as named by the data set, a file's name, a user's rule or a DICOM header."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from infmap_kit.errors import InputRejected, TrainingError
from infmap_kit.imaging.dicom.acceptance import age_years
from infmap_kit.imaging.dicom.dataset import text_of
from infmap_kit.imaging.dicom.identity import stand_in
from infmap_kit.imaging.dicom.reader import read_tags
from infmap_kit.imaging.readers import SIGNATURE_BYTES, is_dicom, read_content
from infmap_train.data.dataset import Pictures, Sample
from infmap_train.data.problems import Problem
from infmap_train.options import ReadOptions

_log = logging.getLogger(__name__)

# How public data sets name their files, by the data set that the patient's number is of.
_NAMES = (
    # BIMCV: sub-S03045_ses-E06111_run-1_bp-chest_vp-ap_dx. QaTa-COV19 kept such names.
    ("", re.compile(r"(sub-[A-Za-z0-9]+)")),
    # NIH ChestX-ray14: 00000013_002.
    ("nih-", re.compile(r"0*(\d+)_\d{3}$(?<=^\d{8}_\d{3})")),
    # Indiana, as the National Library of Medicine names it: CXR12_IM-0001-4001.
    ("indiana-", re.compile(r"CXR(\d+)_(?:\d+_)?IM-\d+-\d+$")),
)


# What tables say of a patient that is not known.
_NOBODY = ("unknown", "none", "nan", "na", "n/a", "null", "-", "?", "0", "anonymous", "anonymized")


def patient_in_name(stem: str) -> str:
    """The patient that a file's name says by a public data set's rule; empty where there is none."""
    for source, pattern in _NAMES:
        if said := pattern.match(stem):
            return f"{source}{said[1]}"
    return ""


def with_patients(samples: Sequence[Sample], folder: Path, options: ReadOptions) -> list[Sample]:
    """Say who the samples show where the data set does not.

    First the patient's number in an index without groups is asked, then the file's name by the rules of public
    data sets, the user's pattern, and the DICOM header, whose Patient ID is replaced by its stand-in: it is the
    same for the same patient, and names nobody. A header also tells age, sex and view.

    Parameters
    ----------
    folder
        Folder that paths are relative to.
    options
        With the user's pattern.

    Raises
    ------
    TrainingError
        When the pattern finds nothing, though the data set and the files' names leave patients unknown.
    """
    counts = Counter[str]()
    known: list[Sample] = []
    for sample in samples:
        header = _header(sample.image)
        group, teller = sample.group, "the data set"
        if not sample.patient_known:
            number = sample.details.get("patient_id", "")
            if number and number.lower() not in _NOBODY:
                group, teller = f"patient-{number}", "the column patient_id"
            elif named := patient_in_name(sample.image.stem):
                group, teller = named, "the names of files"
            elif found := _found(options.group_pattern, sample.image, folder):
                group, teller = found, "--group-pattern"
            elif header and header["patient"]:
                group, teller = header["patient"], "DICOM headers"
            else:
                teller = "nobody"
        counts[teller] += 1
        told = {key: value for key, value in (header or {}).items() if key != "patient" and value}
        known.append(dataclasses.replace(sample, group=group, details={**told, **sample.details}))
    useless = options.group_pattern and not counts["--group-pattern"]
    if useless and not options.recorded and (counts["nobody"] or counts["DICOM headers"]):
        raise TrainingError(
            f"--group-pattern {options.group_pattern!r} finds nothing in the paths below {folder}, such as "
            f"{_below(folder, samples[-1].image)!r}"
        )
    asked = options.group_pattern and not options.recorded
    if asked or set(counts) - {"the data set"}:
        by = ", ".join(f"{teller} for {count}" for teller, count in counts.most_common())
        alone = "; each of those is taken for a patient of their own" if counts["nobody"] else ""
        _log.info(
            "%s: the patients of %d radiographs are told by %s%s", folder, len(samples), by, alone
        )
    return known


def joined(groups: Sequence[str], pairs: Iterable[tuple[int, int]]) -> list[str]:
    """Make one group of two that share a picture: it is one patient, whatever the files say.

    Parameters
    ----------
    groups
        Patient group of each row.
    pairs
        Rows that show one picture.
    """
    one = list(groups)
    for first, second in pairs:
        group, other = one[first], one[second]
        if group != other:
            one = [group if found == other else found for found in one]
    return one


def one_patient_a_picture(pictures: Pictures) -> tuple[Pictures, list[Problem]]:
    """Join the groups of radiographs that are the same at the networks' size.

    Returns
    -------
    tuple
        The pictures with their groups, and those that are said to be of two classes.
    """
    first: dict[bytes, int] = {}
    pairs: list[tuple[int, int]] = []
    for row, image in enumerate(pictures.images):
        earlier = first.setdefault(hashlib.sha256(image.tobytes()).digest(), row)
        if earlier != row:
            pairs.append((earlier, row))
    samples = pictures.samples
    problems = [
        Problem(
            f"the same picture as {samples[one].name}, of class {samples[one].kind}: leave one out",
            samples[other].name,
        )
        for one, other in pairs
        if samples[one].kind != samples[other].kind
    ]
    groups = joined(pictures.groups, pairs)
    shared = sum(new != old for new, old in zip(groups, pictures.groups, strict=True))
    if pairs:
        _log.info(
            "%d radiographs repeat another, %s and %s among them; %d were of other patients, and are taken for "
            "the same: `infmap-train dataset build` leaves copies out",
            *(len(pairs), samples[pairs[0][0]].name, samples[pairs[0][1]].name, shared),
        )
    regrouped = tuple(
        dataclasses.replace(sample, group=group)
        for sample, group in zip(samples, groups, strict=True)
    )
    return dataclasses.replace(pictures, samples=regrouped), problems


def _found(pattern: str, image: Path, folder: Path) -> str:
    said = re.search(pattern, _below(folder, image)) if pattern else None
    if said is None:
        return ""
    text = said[1] if said.re.groups else said[0]
    return f"patient-{text}" if text else ""


def _below(folder: Path, image: Path) -> str:
    return image.relative_to(folder).as_posix() if image.is_relative_to(folder) else image.name


def _header(image: Path) -> dict[str, str] | None:
    """The patient as a DICOM file states it; ``None`` for other and unreadable files."""
    try:
        with image.open("rb") as file:
            if not is_dicom(file.read(SIGNATURE_BYTES)):
                return None
        tags = read_tags(read_content(image))
    except (OSError, InputRejected):
        return None
    return _told(tags)


def _told(tags: Any) -> dict[str, str]:
    number = text_of(tags, "PatientID")
    # One number may be two people's in two hospitals.
    whole = f"{text_of(tags, 'IssuerOfPatientID')}\0{number}"
    age = age_years(tags)
    return {
        "patient": f"patient-{stand_in(whole.encode()).rpartition(':')[2]}" if number else "",
        "age": "" if age is None else str(age),
        "sex": text_of(tags, "PatientSex"),
        "view": text_of(tags, "ViewPosition"),
    }
