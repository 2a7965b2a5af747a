"""What a destination's status means; the ranges are those of DICOM PS3.4, table B.2-1."""

from __future__ import annotations

import pytest

from infmap_kit.node.dicom.response import DestinationUnavailable, Meaning, response_of


@pytest.mark.parametrize("status", [0xA700, 0xA701, 0xA7FF, 0x0213])
def test_out_of_resources_is_not_about_the_object(status: int) -> None:
    with pytest.raises(DestinationUnavailable, match="out of resources"):
        response_of(status)


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (0x0000, Meaning.STORED),
        (0xB000, Meaning.STORED),
        (0xB006, Meaning.STORED),
        (0xB007, Meaning.STORED),
        (0xB123, Meaning.STORED),
        (0xA900, Meaning.REFUSED_FOR_GOOD),
        (0xA9FF, Meaning.REFUSED_FOR_GOOD),
        (0x0122, Meaning.REFUSED_FOR_GOOD),
        (0xC000, Meaning.REFUSED),
        (0xCFFF, Meaning.REFUSED),
        (0x0110, Meaning.REFUSED),
        (0x0124, Meaning.REFUSED),
        (0x1234, Meaning.REFUSED),
    ],
)
def test_statuses(status: int, meaning: Meaning) -> None:
    response = response_of(status)
    assert response.meaning is meaning
    assert (response.remark == "") == (status == 0)
    if status:
        assert f"0x{status:04X}" in response.remark
