"""The time at which a radiograph was taken, by its own tags."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from infmap_kit.imaging.dicom.dataset import text_of

if TYPE_CHECKING:
    from pydicom import Dataset

_DATES_AND_TIMES = (("AcquisitionDate", "AcquisitionTime"), ("StudyDate", "StudyTime"))
_YEARS = range(1896, 2200)
"""Between the first radiographs and whatever a clock that lost its battery may say."""


def study_time(header: Dataset) -> dt.datetime | None:
    """Time at which the radiograph of a data set was taken.

    Returns
    -------
    datetime or None
        The hospital's wall clock, without a zone, to the second: Acquisition DateTime (DICOM PS3.3,
        C.8.11.7), else Acquisition Date and Time, else Study Date and Time (C.7.2.1), whichever can be
        read first; midnight where there is a date alone, ``None`` where there is none.
    """
    moments = [text_of(header, "AcquisitionDateTime")]
    for date, time in _DATES_AND_TIMES:
        if day := text_of(header, date):
            # A time that cannot be read must not take the date with it.
            moments += [day + text_of(header, time), day]
    return next((known for known in map(_moment, moments) if known is not None), None)


def _moment(text: str) -> dt.datetime | None:
    from pydicom.valuerep import DT

    # A year alone would be completed to a date that is not in the file.
    if len(text) < len("20261122"):
        return None
    try:
        known = DT(text)
    # As above.
    except Exception:  # noqa: BLE001
        return None
    if known is None or known.year not in _YEARS:
        return None
    return dt.datetime(known.year, known.month, known.day, known.hour, known.minute, known.second)  # noqa: DTZ001  # the wall clock, as it stands in the file
