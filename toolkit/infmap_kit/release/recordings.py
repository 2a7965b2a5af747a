"""The gate's pictures in a bundle, and what the trained networks said of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from infmap_kit.answer.answer import Answer
from infmap_kit.errors import BundleError
from infmap_kit.gate.pictures import Pictures
from infmap_kit.gate.runners import Recorded, RecordedRunner
from infmap_kit.model.finding import COVID_19, FindingSpec
from infmap_kit.parts.contract import Contract
from infmap_kit.parts.recording import Recording, packed_probability
from infmap_kit.parts.registry import find_part


def files_of(number: int, answer: Answer) -> dict[str, bytes]:
    """What was said of a picture, as files of a bundle.

    Parameters
    ----------
    number
        The picture's number, from 1.
    answer
        By the trained networks; its numbers are finite.
    """
    files = {f"expected/{number:04}.png": packed_probability(answer.probability)}
    for name, said in answer.parts.items():
        files |= find_part(name).pack(number, said)
    return files


def read_recordings(
    path: Path,
    files: Mapping[str, bytes],
    count: int,
    contract: Contract,
    finding: FindingSpec = COVID_19,
) -> tuple[Pictures, RecordedRunner]:
    """Read the pictures of a bundle, and what was said of them.

    Parameters
    ----------
    path
        The bundle, for messages.
    files
        Name to content.
    count
        How many pictures it has.
    contract
        What its model serves.
    finding
        What its model looks for.

    Raises
    ------
    BundleError
        When it has no pictures, or one of the files is missing or damaged.
    """
    recording = Recording(path, files)
    pictures: Pictures = []
    recorded = {}
    for number in range(1, count + 1):
        name = f"gate-{number:04}"
        pictures.append((name, recording.picture(f"gate/{number:04}.png", np.uint8)))
        probability = recording.probability(f"expected/{number:04}.png")
        parts = {
            part.name: part.unpack(recording, number, probability, finding=finding)
            for part in contract.optional
        }
        recorded[name] = Recorded(probability=probability, parts=parts)
    if not pictures:
        raise BundleError(f"{path} holds no pictures that an engine could be proved on")
    return pictures, RecordedRunner(recorded, finding=finding)
