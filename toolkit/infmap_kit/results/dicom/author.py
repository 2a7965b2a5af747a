"""The author of a result: model, program, time and UIDs."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from infmap_kit import __version__
from infmap_kit.model.finding import FindingSpec
from infmap_kit.results.dicom.uids import derived_uid, model_identity
from infmap_kit.results.sheet.sheet import Capture
from infmap_kit.results.words.words import ENGLISH

if TYPE_CHECKING:
    from pydicom import Dataset

MANUFACTURER = "infmap-kit"

_LONG_STRING = 64
"""Characters of DICOM's value representation LO (PS3.5, 6.2)."""

_DATES = (
    "InstanceCreationDate",
    "ContentDate",
    "DateOfSecondaryCapture",
    "PresentationCreationDate",
)
_TIMES = tuple(keyword.replace("Date", "Time") for keyword in _DATES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Author:
    """The model and the program, as the objects about one radiograph name them.

    Parameters
    ----------
    source
        The part of the radiograph's data set that the objects copy, from
        :func:`~infmap_kit.results.dicom.reference.reference`.
    identity
        SHA-256 over everything by which the model may decide otherwise than another.
    finding
        The finding of the model, with its codes and words.
    model_name, model_version
        Name and version for people.
    made_from
        The SHA-256 of the engine, or of the graph that it was made from, and which of the two it is; empty when
        unknown.
    made_at
        When the model answered.
    lungs_name, lungs_version
        Those of the model that segments the lungs, or of the model itself where none is named.
    refusal
        Code of a refusal; empty for an answer.
    language
        ISO 639-1 code of the words for readers.
    capture
        What a Secondary Capture shows.
    """

    source: Dataset
    identity: str
    finding: FindingSpec
    model_name: str
    model_version: str
    made_from: str
    made_at: dt.datetime
    lungs_name: str = ""
    lungs_version: str = ""
    refusal: str = ""
    language: str = ENGLISH
    capture: str = Capture.BESIDE

    @classmethod
    def of(
        cls,
        source: Dataset,
        model: Mapping[str, str],
        made_at: dt.datetime | None,
        *,
        refusal: str = "",
        language: str = ENGLISH,
        capture: str = Capture.BESIDE,
    ) -> Self:
        """Author of results about a radiograph; for a refusal no model but its finding, and the code."""
        name = model.get("model_name", MANUFACTURER)
        version = model.get("model_version", __version__)
        return cls(
            source=source,
            identity=model_identity(model),
            finding=FindingSpec.from_parameters(model),
            refusal=refusal,
            language=language,
            capture=capture,
            model_name=name[:_LONG_STRING],
            model_version=version[:_LONG_STRING],
            lungs_name=model.get("lungs_name", name)[:_LONG_STRING],
            lungs_version=model.get("lungs_version", version)[:_LONG_STRING],
            made_from=_made_from(model),
            made_at=made_at or dt.datetime.now().astimezone(),
        )

    @property
    def tracking_id(self) -> str:
        """Name under which segment and report track the finding."""
        return f"{self.finding.noun} {self.identity[:12]}"

    def uid(self, kind: str, what: str) -> str:
        """UID of a part (``series``, ``instance``, …) of the object of a kind."""
        refusal = [self.refusal] if self.refusal else []
        looks = {"sc": [self.language, self.capture], "sr": [self.language]}.get(kind, [])
        return derived_uid(
            str(self.source.SOPInstanceUID), self.identity, *refusal, kind, *looks, what
        )

    def identification(self, kind: str, *, series_number: int, described: str) -> dict[str, Any]:
        """Keyword arguments that every constructor of highdicom takes."""
        return {
            "series_instance_uid": self.uid(kind, "series"),
            "series_number": series_number,
            "sop_instance_uid": self.uid(kind, "instance"),
            "instance_number": 1,
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": self.model_name,
            "software_versions": (f"{MANUFACTURER} {__version__}", f"model {self.model_version}"),
            "device_serial_number": self.identity,
            "series_description": described,
        }

    def signed(self, dataset: Dataset) -> Dataset:
        """Finish what a constructor of highdicom made.

        This author's time goes where the constructor put the present one; a chest, which has no
        side, is said to be one; pictures lie as the source does.
        """
        if dataset.Modality != "SR":
            dataset.BodyPartExamined = "CHEST"
        if "Rows" in dataset:
            dataset.PatientOrientation = self.source.get("PatientOrientation")
        values = {
            **dict.fromkeys(_DATES, self.made_at.strftime("%Y%m%d")),
            **dict.fromkeys(_TIMES, self.made_at.strftime("%H%M%S")),
            "ContributionDateTime": self.made_at.strftime("%Y%m%d%H%M%S%z"),
            # highdicom draws a random one.
            "DimensionOrganizationUID": self.uid("seg", "dimensions"),
        }
        for element in list(dataset.iterall()):
            if element.keyword in values:
                element.value = values[element.keyword]
        return dataset


def _made_from(model: Mapping[str, str]) -> str:
    for key, what in (("engine_sha256", "engine"), ("onnx_sha256", "graph")):
        if model.get(key):
            return f"SHA-256 of the {what} {model[key]}"
    return ""
