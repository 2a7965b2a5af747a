"""What the toolkit reads in a file of the set, beside what is right."""

from __future__ import annotations

import functools

import numpy as np

from conformance import expected
from conformance.cases import NAMES, Case
from conformance.files import file_of
from infmap_kit.errors import InfmapError
from infmap_kit.imaging.dicom.dataset import text_of
from infmap_kit.imaging.dicom.reader import decode_dicom

ONE_LEVEL = 1.0


@functools.cache
def fault(case: Case) -> str:
    """What is wrong in the reading of a file; empty when nothing is."""
    try:
        read = decode_dicom(file_of(case), "x")
    except InfmapError as refused:
        return f"refused: {refused}"
    least, largest = expected.bounds(case)
    off = np.maximum(least - read.pixels, read.pixels - largest)
    name = text_of(read.header, "PatientName") if read.header is not None else ""
    faults = {
        f"{np.count_nonzero(off > ONE_LEVEL)} pixels off by up to {off.max():.2f} levels": off.max()
        > ONE_LEVEL,
        f"the name is {name!r}": name != NAMES[case.character_set][0],
        f"warned: {[warning.text for warning in read.warnings]}": bool(read.warnings),
    }
    return "; ".join(text for text, is_one in faults.items() if is_one)
