"""When a radiograph was taken, whatever its tags say."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from infmap_kit.imaging.dicom.study_time import study_time


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"StudyDate": "20260301", "StudyTime": "101500"}, "2026-03-01T10:15:00"),
        ({"StudyDate": "20260301", "StudyTime": "101500.123456"}, "2026-03-01T10:15:00"),
        ({"StudyDate": "20260301", "StudyTime": "10"}, "2026-03-01T10:00:00"),
        ({"StudyDate": "20260301"}, "2026-03-01T00:00:00"),
        ({"StudyDate": "20260301", "StudyTime": "later"}, "2026-03-01T00:00:00"),
        (
            {"AcquisitionDateTime": "20260302111213.5+0100", "StudyDate": "20260301"},
            "2026-03-02T11:12:13",
        ),
        (
            {"AcquisitionDate": "20260302", "AcquisitionTime": "0800", "StudyDate": "20260301"},
            "2026-03-02T08:00:00",
        ),
        ({"AcquisitionDateTime": "2026", "StudyDate": "20260301"}, "2026-03-01T00:00:00"),
        ({"AcquisitionDate": "20261332", "StudyDate": "20260301"}, "2026-03-01T00:00:00"),
        ({"StudyTime": "101500"}, None),
        ({"StudyDate": "00010101"}, None),
        ({}, None),
    ],
)
def test_the_first_time_that_can_be_read_counts(tags: dict[str, str], expected: str | None) -> None:
    header = Dataset()
    for keyword, value in tags.items():
        setattr(header, keyword, value)
    actual = study_time(header)
    assert (actual.isoformat() if actual else None) == expected


_TAGS = ("AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime", "StudyDate", "StudyTime")


_OF_AN_UNKNOWN_TYPE = bytes.fromhex("feff00e0 0a000000 08002000 5a5a0200 6162")
"""An item with an element whose value representation is ZZ, which pydicom finds when the text is made."""


@example("AcquisitionDateTime", "SQ", _OF_AN_UNKNOWN_TYPE)
@given(
    keyword=st.sampled_from(_TAGS),
    vr=st.sampled_from(["DT", "DA", "TM", "US", "FD", "UN", "SQ", "LO"]),
    value=st.binary(max_size=24),
)
def test_no_tag_does_harm(keyword: str, vr: str, value: bytes) -> None:
    header, tag = Dataset(), Tag(keyword)
    header[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
    actual = study_time(header)
    assert actual is None or dt.datetime(1896, 1, 1) <= actual < dt.datetime(2200, 1, 1)  # noqa: DTZ001
