"""The gate's pictures in a bundle, and what the trained networks predicted of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from infmap_kit.answer.answer import Answer
from infmap_kit.errors import BundleError
from infmap_kit.gate.pictures import Pictures
from infmap_kit.gate.runners import RecordedRunner
from infmap_kit.model.finding import COVID_19, FindingSpec
from infmap_kit.parts.contract import Contract
from infmap_kit.parts.recording import Recording, packed_probability
from infmap_kit.parts.registry import find_part


def files_of(number: int, answer: Answer) -> dict[str, bytes]:
    """The answer about a picture, as files of a bundle.

    Parameters
    ----------
    number
        The picture's number, from 1.
    answer
        The trained networks' answer; its numbers are finite.
    """
    files = {f"expected/{number:04}.png": packed_probability(answer.probability)}
    for name, part_answer in answer.parts.items():
        files |= find_part(name).pack(number, part_answer)
    return files


def read_recordings(
    path: Path,
    files: Mapping[str, bytes],
    count: int,
    contract: Contract,
    finding: FindingSpec = COVID_19,
) -> tuple[Pictures, RecordedRunner]:
    """Read the pictures of a bundle, and what was predicted of them.

    Parameters
    ----------
    path, files
        As :class:`~infmap_kit.parts.recording.Recording` takes them.
    count
        How many pictures it has.
    contract, finding
        What its model serves, and what it looks for.

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
        recorded[name] = probability, parts
    if not pictures:
        raise BundleError(f"{path} holds no pictures that an engine could be proved on")
    return pictures, RecordedRunner(recorded, finding=finding)
