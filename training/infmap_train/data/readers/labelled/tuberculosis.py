"""The tuberculosis sets of Montgomery County and Shenzhen, as the National Library of Medicine gives them.

::

    MontgomerySet/{CXR_png,ClinicalReadings,ManualMask}      MCUCXR_0001_0, of which the last digit says
    ChinaSet_AllFiles/{CXR_png,ClinicalReadings}             CHNCXR_0327_1   0 normal, 1 tuberculosis

Each file is a patient of its own, seen from the back. Montgomery's masks of the left and the right lung lie in
two files and are not read; masks of Shenzhen's lungs (``mask/CHNCXR_0001_0_mask.png``) are.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from infmap_kit.errors import TrainingError
from infmap_train.data.dataset import NORMAL, OTHER, Sample
from infmap_train.data.readers.reader import Reader, by_stem, make_sample, years

_log = logging.getLogger(__name__)

_NAME = re.compile(r"(MCUCXR|CHNCXR)_\d+_([01])")
_SOURCES = {"MCUCXR": "montgomery", "CHNCXR": "shenzhen"}
_MAX_READING_BYTES = 10_000


def _read(_folder: Path, marks: Sequence[Path]) -> list[Sample]:
    samples = []
    for readings in marks:
        pictures = by_stem(readings.parent / "CXR_png")
        lungs = by_stem(readings.parent / "mask") if (readings.parent / "mask").is_dir() else {}
        for stem, image in pictures.items():
            said = _NAME.fullmatch(stem)
            if said is None:
                raise TrainingError(f"expected a name such as CHNCXR_0001_0.png, found {image}")
            source = _SOURCES[said[1]]
            samples.append(
                make_sample(
                    *(source, stem, image, OTHER if said[2] == "1" else NORMAL),
                    lung_mask=lungs.get(f"{stem}_mask"),
                    patient=f"{source}-{stem.split('_')[1]}",
                    details={"view": "PA", **_reading(readings / f"{stem}.txt")},
                )
            )
    return samples


def _reading(path: Path) -> dict[str, str]:
    """Read ``male 45yrs``, or ``Patient's Sex: F`` and ``Patient's Age: 027Y``, and the finding's line."""
    try:
        text = path.read_bytes()[:_MAX_READING_BYTES].decode("utf-8", "replace")
    except OSError:
        return {}
    sex = re.search(r"(?i)\b(?:sex:\s*)?(fem|f\b|mal|m\b)", text)
    age = re.search(r"(?i)\b(\d{1,3}\s*(?:y|m|w|d)\w*)", text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return {
        "sex": sex[1][0].upper() if sex else "",
        "age": years(age[1]) if age else "",
        "finding": lines[-1] if len(lines) > 1 else "",
    }


def _has_pictures(_folder: Path, mark: Path) -> bool:
    return (mark.parent / "CXR_png").is_dir()


READER = Reader(
    name="tuberculosis",
    title="the tuberculosis sets of Montgomery and Shenzhen",
    mark="ClinicalReadings",
    read=_read,
    knows=_has_pictures,
)
