"""Chest X-rays of children, by Kermany and others, as Paul Mooney put them on Kaggle.

::

    chest_xray/{train,val,test}/{NORMAL,PNEUMONIA}/IM-0115-0001.jpeg, person1_virus_6.jpeg

Patients are one to five years old and stand in the names of files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from infmap_train.data.dataset import NORMAL, OTHER, Sample
from infmap_train.data.problems import refuse
from infmap_train.data.readers.reader import Reader, by_stem, make_sample, repeated

# person23_virus_56, BACTERIA-1008087-0001, NORMAL2-IM-0381-0001: a sick child's number, or a healthy one's.
_PATIENT = re.compile(r"(?i)(person|bacteria-|virus-|normal-|(?:normal2-)?im-)(\d+)[-_].*")


def _read(_folder: Path, marks: Sequence[Path]) -> list[Sample]:
    samples = []
    for pneumonia in marks:
        for kind, pictures in ((NORMAL, pneumonia.parent / "NORMAL"), (OTHER, pneumonia)):
            for stem, path in by_stem(pictures).items():
                details = {"finding": _finding(stem, kind), "view": "AP", "age": "1-5"}
                named = _PATIENT.fullmatch(stem)
                patient = f"kermany-{kind}-{named[2]}" if named else ""
                samples.append(
                    make_sample("kermany", stem, path, kind, patient=patient, details=details)
                )
    refuse(repeated(samples, "pass the folder with train, val and test once"), samples)
    return samples


def _finding(stem: str, kind: str) -> str:
    if kind == NORMAL:
        return "normal"
    named = [cause for cause in ("bacteria", "virus") if cause in stem.lower()]
    return " ".join([*named, "pneumonia"])


def _is_kermany(_folder: Path, mark: Path) -> bool:
    """Other sets have folders of these names, too: their pictures are called otherwise."""
    return all(
        any(_PATIENT.fullmatch(name.stem) for name in place.glob("*.jp*g"))
        for place in (mark, mark.parent / "NORMAL")
    )


READER = Reader(
    name="kermany",
    title="Kermany's chest X-rays of children",
    mark="PNEUMONIA",
    read=_read,
    knows=_is_kermany,
)
