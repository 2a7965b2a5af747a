"""The JSON of a model's answer about a radiograph."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from infmap_kit.answer.answer import Answer
from infmap_kit.imaging.dicom.identity import shown_patient, shown_uids, stand_in
from infmap_kit.imaging.radiograph import InputWarning, Radiograph


def finding_document(
    radiograph: Radiograph,
    answer: Answer,
    *,
    source: str,
    infection_map: Path | None = None,
    dicom: Sequence[Path] = (),
    warnings: Sequence[InputWarning] = (),
    identify: bool = False,
) -> dict[str, Any]:
    """The JSON of a model's answer about a radiograph.

    Parameters
    ----------
    radiograph, answer
        The radiograph, and the answer.
    source
        The radiograph's name in the JSON.
    infection_map, dicom
        Files that were written beside the JSON.
    warnings
        Warnings about writing them, besides the radiograph's own.
    identify
        Whether UIDs, patient and time of a DICOM file may be shown as they are.
    """
    document: dict[str, Any] = {
        "source": source,
        "height": radiograph.height,
        "width": radiograph.width,
        "pixels": stand_in(radiograph.pixels.tobytes()),
        "sides_stated": radiograph.sides_stated,
        "notes": list(radiograph.notes),
        "warnings": [
            dataclasses.asdict(text) for text in (*radiograph.warnings, *answer.warnings, *warnings)
        ],
    }
    if radiograph.header is not None:
        document["uids"] = shown_uids(radiograph.header, identify=identify)
        document |= shown_patient(radiograph.header, identify=identify)
    document["infection_map"] = infection_map.name if infection_map else None
    document["dicom"] = [path.name for path in dicom]
    return {**document, **answer.as_json()}
