"""UIDs that follow from what a result was made of, so that a repeated run makes the same objects."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping

from infmap_kit.model.finding import FindingSpec
from infmap_kit.model.paint import Paint

_SCHEME = "infmap-kit results 3"
"""Changes when results of the same radiograph and model would look different: a PACS that holds an
object of the same UID keeps the old one."""

_IDENTITY = (
    *("model_name", "model_version", "network"),
    *("onnx_sha256", "engine_sha256", "precision", "target"),
    *("temperature", "lungs_onnx_sha256", "grades", "classifier_onnx_sha256"),
)


def derived_uid(*parts: str) -> str:
    """UID that depends on nothing but the parts of which an object was made: UIDs, hashes, words.

    Returns
    -------
    str
        ``2.25.`` and a name-based UUID as a decimal number (DICOM PS3.5, B.2), of at most 44
        characters.
    """
    name = json.dumps([_SCHEME, *parts])
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, name).int}"


def model_identity(model: Mapping[str, str]) -> str:
    """SHA-256 over everything by which a served model may decide otherwise than another."""
    stated = {key: model[key] for key in _IDENTITY if key in model}
    # Another threshold, code or word makes another object of the same networks.
    stated |= FindingSpec.from_parameters(model).as_parameters()
    # So does another paint.
    stated |= Paint.from_parameters(model).as_parameters()
    return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()
