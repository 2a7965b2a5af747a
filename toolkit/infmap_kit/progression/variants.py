"""Measuring a served model's noise on radiographs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import InputRejected, ProgressionError, SpecError
from infmap_kit.imaging.dicom.identity import stand_in
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.imaging.readers import read_radiograph
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.model.severity_noise import Variation
from infmap_kit.progress import Progress, no_progress
from infmap_kit.progression.fields import Fields
from infmap_kit.progression.noise import Measured, Noise
from infmap_kit.progression.reading import Skipped
from infmap_kit.progression.result import Severity, compared_identity, parse_severity
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.inference import find_infection


def measure_noise(
    files: Sequence[Path], *, url: str, variation: Variation, progress: Progress = no_progress
) -> tuple[Noise, list[Skipped]]:
    """Ask a server about many variants of each radiograph.

    Parameters
    ----------
    files
        Radiographs; what cannot be used is skipped and the others go on.
    url
        The server's gRPC endpoint.
    variation
        Limits of the variants.
    progress
        Called after each variant.

    Returns
    -------
    tuple
        The noise, and what was skipped.

    Raises
    ------
    ServerError
        When the server does not answer.
    ProgressionError
        When no radiograph is left, or the server changed its model meanwhile.
    """
    measured: list[Measured] = []
    skipped: list[Skipped] = []
    with InfmapClient(url) as client:
        model = compared_identity(client.model())
        for number, file in enumerate(files):
            done = number * variation.variants, len(files) * variation.variants
            try:
                radiograph = read_radiograph(file)
                measured.append(_measure(radiograph, client, model, variation, progress, done))
            except InputRejected as rejection:
                reason = f"{rejection.code}: {rejection.reason}"
                skipped.append(Skipped(name=str(file), reason=reason))
            except SpecError as error:
                skipped.append(Skipped(name=str(file), reason=str(error)))
    if not measured:
        reasons = "; ".join(f"{file.name}: {file.reason}" for file in skipped) or "none was given"
        raise ProgressionError(
            f"expected a radiograph to measure the noise on, found none: {reasons}"
        )
    return Noise(model=model, variation=variation, radiographs=tuple(measured)), skipped


def variants(pixels: NDArray[np.uint8], variation: Variation) -> Iterator[NDArray[np.uint8]]:
    """Variants of a radiograph, (H, W) uint8, placed and shown a little otherwise.

    Yields
    ------
    NDArray
        (H, W) uint8. What moves in from outside repeats the picture's rim.
    """
    random = np.random.default_rng(variation.seed)
    height, width = pixels.shape
    for _ in range(variation.variants):
        right, down, turn, tone = random.uniform(-1, 1, 4)
        middle = (width - 1) / 2, (height - 1) / 2
        placed = np.asarray(
            cv2.getRotationMatrix2D(middle, turn * variation.rotation_degrees, 1.0), np.float64
        )
        placed[:, 2] += np.array([right * width, down * height]) * variation.shift_percent / 100
        moved = cv2.warpAffine(pixels, placed, (width, height), borderMode=cv2.BORDER_REPLICATE)
        bent = 255 * np.linspace(0, 1, 256) ** (1 + tone * variation.tone_percent / 100)
        yield cv2.LUT(moved, np.rint(bent).astype(np.uint8)).astype(np.uint8, copy=False)


def _measure(
    radiograph: Radiograph,
    client: InfmapClient,
    model: ModelIdentity,
    variation: Variation,
    progress: Progress,
    done: tuple[int, int],
) -> Measured:
    itself, _ = _severity(radiograph, client, model)
    percents: dict[str, list[float]] = {part: [] for part in itself.parts()}
    detected = 0
    for number, pixels in enumerate(variants(radiograph.pixels, variation)):
        variant, is_detected = _severity(
            dataclasses.replace(radiograph, pixels=pixels), client, model
        )
        if variant.of != itself.of:
            raise SpecError(
                f"the severity of a variant is of the {variant.of}, that of the radiograph of the {itself.of}"
            )
        detected += is_detected
        for part, values in percents.items():
            # A lung that a variant does not show says nothing about how far it goes.
            if part in variant.parts():
                values.append(round(variant.parts()[part], 4))
        progress("variants", done[0] + number + 1, done[1])
    return Measured(
        source=radiograph.name,
        pixels=stand_in(radiograph.pixels.tobytes()),
        severity_of=itself.of,
        percent={part: round(value, 4) for part, value in itself.parts().items()},
        variants_percent=percents,
        detected=detected,
    )


def _severity(
    radiograph: Radiograph, client: InfmapClient, model: ModelIdentity
) -> tuple[Severity, bool]:
    answer = find_infection(radiograph, client, painted=False, exact=False)
    if compared_identity(answer.model) != model:
        raise ProgressionError(
            "the server changed its model while its noise was measured: start again"
        )
    return parse_severity(Fields(answer.as_json(), "the server's answer")), answer.detected
