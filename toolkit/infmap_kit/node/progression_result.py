"""What the node writes of a result for `infmap-kit progression`: a JSON beside the objects that it sends.

The spool holds the radiograph itself, so nothing is hidden by hiding in this JSON whose it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from infmap_kit.imaging.dicom.identity import shown_patient
from infmap_kit.node.queue.states import Job

if TYPE_CHECKING:
    from pydicom import Dataset

    from infmap_kit.answer.answer import Answer
    from infmap_kit.errors import InputRejected
    from infmap_kit.imaging.radiograph import Radiograph


def finding_record(job: Job, radiograph: Radiograph, answer: Answer) -> dict[str, Any]:
    """What the model said of a radiograph, as `infmap-kit infer --identify` would write it."""
    from infmap_kit.results.folder import finding_document

    return finding_document(radiograph, answer, source=_called(job), identify=True)


def rejection_record(job: Job, source: Dataset, rejection: InputRejected) -> dict[str, Any]:
    """Why a radiograph was not judged, and whose it is."""
    from infmap_kit.imaging.radiograph import rejection_document

    return {
        "source": _called(job),
        **shown_patient(source, identify=True),
        "rejected": rejection_document(rejection),
    }


def _called(job: Job) -> str:
    return f"radiograph {job.image_id}"
