"""The row of a radiograph: what is known of it, what the model said, or why it was refused."""

from __future__ import annotations

import functools
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.answer.answer import Answer
from infmap_kit.answer.severity import SIDES, THRESHOLDS, ZONES
from infmap_kit.cohort.plan import CohortOptions
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.dataset import read_header, text_of
from infmap_kit.imaging.dicom.identity import shown_patient, shown_uids, stand_in
from infmap_kit.imaging.dicom.study_time import study_time
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.imaging.readers import is_dicom
from infmap_kit.results.document import finding_document
from infmap_kit.text import one_line

if TYPE_CHECKING:
    import pyarrow as pa
    from pydicom import Dataset

TIMINGS = ("fetch", "decode", "resize", "served")
"""Stages whose milliseconds stand in ``*_ms``."""

_OLDEST_BAND = 90
_MADE_OF = ("PatientAge", "PatientBirthDate", "PatientID")
_WHEN = ("StudyDate", "StudyTime", "AcquisitionDate", "AcquisitionTime", "AcquisitionDateTime")
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def tag_column(tag: str) -> str:
    """Name of a tag's column."""
    return f"tag_{tag}"


def schema_of(tags: Sequence[str]) -> pa.Schema:
    """The columns of a run that asks for these tags."""
    import pyarrow as pa

    text, number, flag = pa.string(), pa.float32(), pa.bool_()
    severities = [f"severity_at_{threshold:g}" for threshold in THRESHOLDS]
    lungs = [name for side in SIDES for name in (_lung(side), *(_lung(side, z) for z in ZONES))]
    return pa.schema(
        [
            pa.field("number", pa.int64(), nullable=False),
            *((name, text) for name in ("source", "content", "pixels", "study", "series")),
            *((name, text) for name in ("instance", "patient", "taken")),
            *((tag_column(tag), text) for tag in tags),
            *((name, pa.int32()) for name in ("height", "width")),
            *((name, number) for name in ("pixel_mean", "pixel_std", "share_black", "share_white")),
            *(("notes", pa.list_(text)), ("warnings", pa.list_(text))),
            *(("detected", flag), ("probability_max", number), ("severity_percent", number)),
            *(("severity_of", text), ("grade", text)),
            *((name, number) for name in (*severities, *lungs, "classifier_probability")),
            *(("opinions_agree", flag), ("model_name", text), ("model_version", text)),
            *(("precision", text), ("model", text)),
            *((f"{stage}_ms", number) for stage in TIMINGS),
            *(("rejection", text), ("rejection_reason", text)),
        ]
    )


class Row:
    """The row of one radiograph, filled as more becomes known of it.

    Parameters
    ----------
    number
        Its number in the plan.
    locator
        Locator of the radiograph; only a hash of it is kept.
    options
        What is computed and kept for each radiograph.
    """

    def __init__(self, number: int, locator: bytes, options: CohortOptions) -> None:
        self._options = options
        self.values: dict[str, Any] = {"number": number, "source": stand_in(locator)}

    def add_content(self, content: bytes, *, fetch_ms: float) -> None:
        """Add its content and its tags, whether it will be refused or not."""
        digest = hashlib.sha256(content).hexdigest()
        self.values |= {"content": stand_in(digest.encode()), "fetch_ms": fetch_ms}
        header = _header(content, self._options.tags)
        if header is None:
            return
        self.values |= shown_uids(header, identify=self._options.identify)
        patient = shown_patient(header, identify=self._options.identify)
        self.values |= {"patient": patient.get("patient"), "taken": patient.get("study_time")}
        for tag in self._options.tags:
            self.values[tag_column(tag)] = _tag(header, tag) or None

    def add_rejection(self, rejection: InputRejected) -> None:
        """Add the reason why it was refused."""
        self.values |= {
            "rejection": str(rejection.code),
            "rejection_reason": one_line(rejection.reason),
        }

    def add_answer(self, radiograph: Radiograph, answer: Answer) -> None:
        """Add the model's answer to the row."""
        document = finding_document(radiograph, answer, source="")
        lungs = document["lungs"] or {}
        self.values |= {
            name: document[name]
            for name in ("height", "width", "pixels", "notes", "detected", "probability_max")
        }
        self.values |= {
            name: document[name] for name in ("severity_percent", "severity_of", "grade")
        }
        self.values |= _pixel_statistics(radiograph.pixels)
        self.values |= {
            "warnings": [warning["code"] for warning in document["warnings"]],
            **{f"severity_at_{at}": v for at, v in document["severity_at_threshold"].items()},
            **{_lung(side): lung["severity_percent"] for side, lung in lungs.items()},
            **{
                _lung(side, zone): value
                for side, lung in lungs.items()
                for zone, value in lung["zones"].items()
            },
            "classifier_probability": answer.classifier_probability,
            "opinions_agree": answer.classifier_agrees,
            "model_name": answer.model.name,
            "model_version": answer.model.version,
            "precision": answer.model.precision,
            "model": model_digest(answer.model),
            **{f"{stage}_ms": answer.timings_ms.get(stage) for stage in TIMINGS[1:]},
        }


def model_digest(model: Mapping[str, str]) -> str:
    """SHA-256 of everything a model says of itself."""
    return hashlib.sha256(json.dumps(dict(model), sort_keys=True).encode()).hexdigest()


def _lung(side: str, zone: str = "") -> str:
    return f"{side}_{zone}_percent" if zone else f"{side}_percent"


def _header(content: bytes, tags: Sequence[str]) -> Dataset | None:
    """The tags that are needed of a DICOM file, as far as they can be read."""
    if not is_dicom(content):
        return None
    try:
        return read_header(io.BytesIO(content), _keywords(tuple(tags)))
    # A damaged or deflated file: whoever decodes it says what is wrong with it.
    except Exception:  # noqa: BLE001
        return None


@functools.cache
def _keywords(tags: tuple[str, ...]) -> tuple[str, ...]:
    derived = ("AgeBand", "TakenMonth")
    asked = (tag for tag in tags if tag not in derived)
    return tuple(dict.fromkeys((*_UIDS, *_WHEN, *_MADE_OF, "SpecificCharacterSet", *asked)))


def _tag(header: Dataset, tag: str) -> str:
    if tag == "TakenMonth":
        taken = study_time(header)
        return f"{taken:%Y-%m}" if taken else ""
    if tag == "AgeBand":
        return _age_band(header)
    return one_line(text_of(header, tag))[:200]


def _age_band(header: Dataset) -> str:
    """Ten years of age, such as ``60-69``; ``90+`` and above as one, since so few are so old."""
    text = text_of(header, "PatientAge")
    taken, born = study_time(header), text_of(header, "PatientBirthDate")
    if len(text) == 4 and text[:3].isdecimal():
        years = int(text[:3]) if text[3] == "Y" else 0
    elif taken and len(born) == 8 and born.isdecimal():
        years = (int(f"{taken:%Y%m%d}") - int(born)) // 10_000
    else:
        return ""
    if not 0 <= years < 130:
        return ""
    first = years // 10 * 10
    return f"{_OLDEST_BAND}+" if first >= _OLDEST_BAND else f"{first}-{first + 9}"


def _pixel_statistics(pixels: NDArray[np.uint8]) -> dict[str, float]:
    """Statistics of the displayed pixels, 0 to 255."""
    mean, deviation = (float(one[0, 0]) for one in cv2.meanStdDev(pixels))
    return {
        "pixel_mean": mean,
        "pixel_std": deviation,
        "share_black": 1 - cv2.countNonZero(pixels) / pixels.size,
        "share_white": float(np.count_nonzero(pixels == 255)) / pixels.size,
    }
