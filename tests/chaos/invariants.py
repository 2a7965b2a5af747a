"""What must be true after each kill: nothing lost, nothing twice, nothing half, no patient in a log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
from pydicom import dcmread

from node_host import PATIENT_ID, PATIENT_NAME

_NAMES = (PATIENT_NAME, *PATIENT_NAME.split("^"), PATIENT_ID)


class Violation(AssertionError):
    """An invariant that does not hold."""


def demand(holds: object, violation: str) -> None:
    """Raise :class:`Violation` when something does not hold."""
    if not holds:
        raise Violation(violation)


def demand_whole(files: Iterable[Path]) -> None:
    """Every file under its final name can be read to its end by somebody else's reader."""
    for path in files:
        try:
            if path.suffix == ".json":
                json.loads(path.read_bytes())
            elif path.suffix == ".png":
                demand(cv2.imread(str(path), cv2.IMREAD_UNCHANGED) is not None, "no picture")
                demand(path.read_bytes().endswith(b"IEND\xaeB\x60\x82"), "no end")
            elif path.suffix == ".dcm":
                # A Structured Report has no pixels.
                dataset = dcmread(path)
                _ = dataset.pixel_array if "PixelData" in dataset else dataset.ContentSequence
            else:
                demand(False, "nobody expects it")
        except Exception as error:
            raise Violation(f"half: {path}: {type(error).__name__}: {error}") from error


def demand_no_leftovers(folder: Path) -> None:
    """Nothing unfinished lies in a folder, by the names that unfinished things have."""
    left = [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if ".part" in path.name or path.name.endswith((".gone", ".tmp"))
    ]
    demand(not left, f"left behind: {left[:5]}")


def demand_same(found: Iterable[object], expected: Iterable[object], what: str) -> None:
    """The same things, each as often: nothing lost, nothing twice."""
    actual, wanted = Counter(found), Counter(expected)
    lost, more = list((wanted - actual).elements()), list((actual - wanted).elements())
    demand(not lost, f"lost: {what}: {lost[:5]} of {wanted.total()}")
    demand(not more, f"twice or of nobody: {what}: {more[:5]}")


def demand_anonymous(log: str, secrets: Sequence[str] = ()) -> None:
    """No name, number or UID of a patient in what was printed."""
    shown = [secret for secret in (*_NAMES, *secrets) if secret in log]
    demand(not shown, f"in a log: {shown[:3]}")
