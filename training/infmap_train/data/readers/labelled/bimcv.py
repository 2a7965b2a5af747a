"""BIMCV-COVID19, its positive and its negative part, as the Medical Imaging Databank of Valencia gives them.

::

    derivatives/labels/labels_covid19_posi.tsv, labels_SARS-cov-2_nega.tsv   by session
    participants.tsv                                                          age and sex
    sub-S03045/ses-E06111/mod-rx/sub-S03045_ses-E06111_run-1_bp-chest_vp-ap_dx.png

There are no infection masks. A normal radiograph counts as normal where its patient is negative alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from infmap_kit.errors import TrainingError
from infmap_train.data.dataset import COVID, NORMAL, OTHER, Sample
from infmap_train.data.problems import refuse
from infmap_train.data.readers.reader import (
    Entry,
    Reader,
    has_columns,
    make_sample,
    pictures_by_name,
    quoted_words,
    read_table,
    repeated,
    years,
)

_COLUMNS = ("PatientID", "ReportID", "Labels")
_FILE = re.compile(r"(sub-S\w+?)_(ses-E\w+?)_.*")
_LATERAL = ("ll", "rl", "lateral")
_COVID_LABEL = "covid 19"


def _read(folder: Path, marks: Sequence[Path]) -> list[Sample]:
    sessions: dict[tuple[str, str], tuple[list[str], bool]] = {}
    people: dict[str, dict[str, str]] = {}
    for mark in marks:
        for row in read_table(mark, *_COLUMNS, delimiter="\t"):
            key = _with("sub-", row["PatientID"]), _with("ses-", row["ReportID"])
            sessions[key] = quoted_words(row["Labels"]), "nega" in mark.name.lower()
        people |= _people(mark, folder)
    samples = []
    for stem, paths in pictures_by_name(folder).items():
        entry = _entry(stem, sessions, people)
        if entry and entry.frontal:
            samples += [
                make_sample(
                    *("bimcv", stem, path, entry.kind), patient=entry.patient, details=entry.details
                )
                for path in paths
            ]
    refuse(repeated(samples, "pass a folder with one of them"), samples)
    if not samples:
        raise TrainingError(
            f"not one frontal radiograph of the {len(sessions)} labelled sessions is below {folder}: "
            "unpack its parts there"
        )
    return samples


def _entry(
    stem: str,
    sessions: dict[tuple[str, str], tuple[list[str], bool]],
    people: dict[str, dict[str, str]],
) -> Entry | None:
    named = _FILE.fullmatch(stem)
    if named is None or (named[1], named[2]) not in sessions:
        return None
    labels, negative = sessions[named[1], named[2]]
    kind = NORMAL if negative and set(labels) == {"normal"} else OTHER
    if _COVID_LABEL in labels:
        kind = COVID
    # Sentences of the name, such as bp-chest and vp-ap.
    said = dict(re.findall(r"_(bp|vp)-([a-z]+)", stem))
    view = said.get("vp", "")
    return Entry(
        picture=stem,
        kind=kind,
        patient=named[1],
        frontal=view not in _LATERAL and said.get("bp", "chest") in ("chest", "thorax"),
        details={
            "patient_id": named[1],
            "finding": "|".join(labels),
            "view": view.upper(),
            **people.get(named[1], {}),
        },
    )


def _people(mark: Path, folder: Path) -> dict[str, dict[str, str]]:
    """Age and sex by patient, of the ``participants.tsv`` of a part."""
    for place in _upwards(mark, folder):
        path = place / "participants.tsv"
        if has_columns(path, "participant", "age", "gender", delimiter="\t"):
            rows = read_table(path, "participant", "age", "gender", delimiter="\t")
            return {
                _with("sub-", row["participant"]): {
                    # Of several visits the first age: [65 66].
                    "age": years(re.split(r"[\s,\]]", row["age"].lstrip("[ "))[0]),
                    "sex": row["gender"],
                }
                for row in rows
            }
    return {}


def _upwards(mark: Path, folder: Path) -> Iterator[Path]:
    place = mark.parent
    while place != folder and place.is_relative_to(folder):
        yield place
        place = place.parent
    yield folder


def _with(beginning: str, text: str) -> str:
    return text if text.startswith(beginning) else f"{beginning}{text}"


def _is_table(_folder: Path, mark: Path) -> bool:
    return has_columns(mark, *_COLUMNS, delimiter="\t")


READER = Reader(
    name="bimcv",
    title="BIMCV-COVID19",
    mark="labels_*.tsv",
    read=_read,
    knows=_is_table,
)
