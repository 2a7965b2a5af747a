"""The gate's pictures in a bundle, and what the trained networks said of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from infmap_kit.errors import BundleError
from infmap_kit.gate.pictures import Pictures
from infmap_kit.gate.runners import ClassifierPrediction, Prediction, RecordedRunner
from infmap_kit.model.contract import Contract
from infmap_kit.model.finding import COVID_19, FindingSpec
from infmap_kit.release.packing import packed, probability_of, steps, unpacked


def files_of(number: int, prediction: Prediction) -> dict[str, bytes]:
    """What was said of a picture, as files of a bundle.

    Parameters
    ----------
    number
        Of the picture, from 1.
    judgement
        By the trained networks; its numbers are finite.
    """
    files = {f"expected/{number:04}.png": packed(steps(prediction.probability))}
    if prediction.lungs is not None:
        files[f"lungs/{number:04}.png"] = packed(255 * prediction.lungs.astype(np.uint8))
    if opinion := prediction.opinion:
        files[f"classifier/{number:04}.png"] = packed(steps(opinion.activation))
        files[f"classifier/{number:04}.json"] = json.dumps(opinion.probability).encode()
    return files


def read_recordings(
    path: Path,
    files: Mapping[str, bytes],
    count: int,
    contract: Contract,
    finding: FindingSpec = COVID_19,
) -> tuple[Pictures, RecordedRunner]:
    """Read the pictures of a bundle, and who knows what was said of them.

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
        What it finds.

    Raises
    ------
    BundleError
        When it has no pictures, or one of the files is missing or damaged.
    """
    pictures: Pictures = []
    probabilities, lungs, opinions = {}, {}, {}
    for number in range(1, count + 1):
        name = f"gate-{number:04}"
        pictures.append((name, unpacked(path, files, f"gate/{number:04}.png", np.uint8)))
        said = unpacked(path, files, f"expected/{number:04}.png", np.uint16)
        probabilities[name] = probability_of(said)
        if contract.lungs:
            lungs[name] = unpacked(path, files, f"lungs/{number:04}.png", np.uint8) > 0
        if contract.classifier:
            opinions[name] = _opinion(path, files, number)
    if not pictures:
        raise BundleError(f"{path} holds no pictures that an engine could be proved on")
    runner = RecordedRunner(
        probabilities,
        lungs if contract.lungs else None,
        opinions if contract.classifier else None,
        finding=finding,
    )
    return pictures, runner


def _opinion(path: Path, files: Mapping[str, bytes], number: int) -> ClassifierPrediction:
    name = f"classifier/{number:04}.json"
    try:
        probability = json.loads(files[name])
    except (KeyError, ValueError) as error:
        raise BundleError(f"{path} has no readable {name}: bundle the run again") from error
    if not isinstance(probability, float | int) or not 0 <= probability <= 1:
        raise BundleError(f"expected a probability in {name} of {path}, found {probability!r}")
    activation = unpacked(path, files, f"classifier/{number:04}.png", np.uint16)
    return ClassifierPrediction(
        probability=float(probability), activation=probability_of(activation)
    )


def is_finite(prediction: Prediction) -> bool:
    """Whether nothing that is recorded is NaN or infinite."""
    opinion = prediction.opinion
    return bool(np.isfinite(prediction.probability).all()) and (
        opinion is None
        or (math.isfinite(opinion.probability) and bool(np.isfinite(opinion.activation).all()))
    )
