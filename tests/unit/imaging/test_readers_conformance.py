"""Files of every kind give the picture that NumPy works out by hand, and the documents say which they are."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("imagecodecs", reason="needs infmap-kit[dicom]")

from pydicom.uid import UID_dictionary

from conformance import expected
from conformance.cases import Case, cases, is_possible, properties
from conformance.files import file_of
from conformance.reading import fault
from conformance.table import committed, rendered
from infmap_kit.imaging.dicom.decoding import pixel_decoder

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning:pydicom")


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_the_picture_and_the_name_are_right(case: Case) -> None:
    assert not fault(case)


def test_each_property_stands_beside_each_other_one() -> None:
    rows = [{name: getattr(case, name) for name in properties()} for case in cases()]
    for first, second in itertools.combinations(properties(), 2):
        shown = {(row[first], row[second]) for row in rows}
        for pair in itertools.product(properties()[first], properties()[second]):
            assert (pair in shown) == is_possible(dict(zip((first, second), pair, strict=True)))


def test_the_set_has_every_transfer_syntax_that_is_read() -> None:
    read = set()
    for uid, (_, kind, *_) in UID_dictionary.items():
        try:
            if kind == "Transfer Syntax" and pixel_decoder(uid).is_available:
                read.add(uid)
        except NotImplementedError:
            pass
    assert {syntax.uid for syntax in properties()["syntax"]} == read


def test_the_documents_have_the_table_of_this_set() -> None:
    assert committed() == rendered(case for case in cases() if not fault(case))


_PROGRAMS = {"JPEG": "dcmj2pnm", "JPEG-LS": "dcml2pnm"}
# DCMTK knows no JPEG 2000, no LINEAR_EXACT, no fractions after a rescale and no compressed 8 bits in 16, and
# shows another range of values where there is no window.
_DCMTK = [
    case
    for case in cases()
    if "2000" not in case.syntax.name
    and case.voi not in ("none", "LINEAR_EXACT")
    and case.modality != "rescale"
    and (case.depth != (8, 16) or "JPEG" not in case.syntax.name)
    and not case.syntax.error_percent
][::4]


@pytest.mark.parametrize("case", _DCMTK, ids=lambda case: case.name)
def test_dcmtk_shows_the_same(case: Case, tmp_path: Path) -> None:
    program = _PROGRAMS.get(case.syntax.name.split()[0], "dcm2pnm")
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}: apt-get install dcmtk")
    source, picture = tmp_path / "x.dcm", tmp_path / "x.pgm"
    source.write_bytes(file_of(case))
    chosen = "+Wl" if case.voi == "VOI LUT" else "+Wi"
    subprocess.run([program, chosen, "1", "--write-raw-pnm", source, picture], check=True)
    shown = cv2.imread(str(picture), cv2.IMREAD_UNCHANGED)
    assert shown is not None
    least, largest = expected.bounds(case)
    # DCMTK rounds down where this rounds to the nearest.
    assert np.maximum(least - shown, shown - largest).max() <= 1.5
