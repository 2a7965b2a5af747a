"""Measure how far a finished run's severity goes when a radiograph is placed a little otherwise.

The displacements are those of ``infmap-kit progression noise``, which measures a served model on a patient's
own radiographs. Here they are measured once, on radiographs that were held back, so that a model can state
its noise wherever it is served.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.answer.severity import SIDES, lung_answer
from infmap_kit.errors import SpecError, TrainingError
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.graphs.preparation import prepare_segmentation, read_graph
from infmap_kit.graphs.temperature import read_temperature, with_temperature
from infmap_kit.imaging.network_input import network_input, network_mask
from infmap_kit.imaging.readers import decode_file
from infmap_kit.model.files import write_json
from infmap_kit.model.run_folder import SEGMENTATION_GRAPH, SEVERITY_NOISE, RunFolder
from infmap_kit.model.severity_noise import (
    COVERAGE,
    PARAMETER,
    REGIONS,
    Reach,
    SeverityNoise,
    Variation,
)
from infmap_kit.model.spec import Anatomy
from infmap_kit.progress import Progress, no_progress
from infmap_kit.progression.noise import Range
from infmap_kit.progression.variants import variants
from infmap_kit.report.table import Table
from infmap_train import run_folder
from infmap_train.data.dataset import Sample
from infmap_train.data.layouts import read_dataset
from infmap_train.data.masks import read_mask
from infmap_train.data.output import json_ready
from infmap_train.options import ReadOptions

RADIOGRAPHS = 50
FEWEST = 20
"""With fewer radiographs, what 95 % of them do not exceed is the largest."""

_BATCH_SIZE = 16
_WHAT = (
    "how far below (down) and above (up) the radiograph's own severity the middle 95 % of its variants reach, "
    "in percentage points; of all radiographs the smallest that at least 95 % of them do not exceed; lungs are "
    "the data set's masks, moved along"
)


class SeverityMeter:
    """The network of a finished run, asked for severities as they are served.

    Raises
    ------
    SpecError
        When the run is not finished, damaged, or no network of the infection.
    """

    def __init__(self, run: Path) -> None:
        spec, folder = run_folder.read(run), RunFolder(run)
        if SEGMENTATION_GRAPH not in spec.files or spec.anatomy is not Anatomy.INFECTION:
            raise SpecError(
                f"{run} holds {spec.name}, and the severity is of networks that segment the infection: name "
                "such a run"
            )
        self.version = spec.version
        self.reading = ReadOptions.of_training(spec.training)
        self.threshold = folder.finding().threshold
        self.temperature = read_temperature(folder)
        graph = with_temperature(
            prepare_segmentation(read_graph(folder.graph(SEGMENTATION_GRAPH))), self.temperature
        )
        self._engine = OnnxRuntimeEngine(graph.SerializeToString())

    def severities(
        self, images: NDArray[np.uint8], lungs: NDArray[np.uint8]
    ) -> list[dict[str, float]]:
        """Percent by region of each picture.

        Parameters
        ----------
        images, lungs
            (N, 224, 224) uint8; lungs 0 or 1, of a picture without any all 0.

        Returns
        -------
        list
            Of each picture its severity of the ``image``, and where there are lungs of the ``lungs``, and of
            the ``right`` and the ``left`` one that is there.
        """
        answers = []
        for start in range(0, len(images), _BATCH_SIZE):
            probability = self._engine.infer(images[start : start + _BATCH_SIZE])
            answers += [
                _by_region(*pair, threshold=self.threshold)
                for pair in zip(probability, lungs[start:] > 0, strict=False)
            ]
        return answers


def measure_severity_noise(
    run: Path,
    folder: Path,
    *,
    radiographs: int = RADIOGRAPHS,
    variation: Variation | None = None,
    everything: bool = False,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Measure a run's noise, and write ``severity_noise.json``.

    Parameters
    ----------
    run
        The run folder; gets the file.
    folder
        The data that it was trained on.
    radiographs
        Most radiographs; of more they are drawn by the variation's seed.
    variation
        Limits of the variants; by default those of ``infmap-kit progression noise``.
    everything
        Take all radiographs. On the training data this flatters; it is meant for data of others.

    Returns
    -------
    dict
        The content of ``severity_noise.json``.

    Raises
    ------
    SpecError
        When the run is not finished or damaged, or does not say what it held back.
    TrainingError
        When the data are unfit, or have fewer than 20 such radiographs.
    """
    meter, variation = SeverityMeter(run), variation or Variation()
    names = None if everything else run_folder.held_back_names(run)
    ill = [
        sample
        for sample in sorted(read_dataset(folder, meter.reading), key=lambda one: one.name)
        if sample.infection_mask is not None and (names is None or sample.name in names)
    ]
    if min(len(ill), radiographs) < FEWEST:
        raise TrainingError(
            f"expected at least {FEWEST} radiographs with an infection mask that {run} held back, found "
            f"{len(ill)} in {folder}, and {radiographs} asked for: pass the data that it was trained on, or "
            "--all with data of others"
        )
    drawn = np.random.default_rng(variation.seed).permutation(len(ill))[:radiographs]
    reaches: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for number, row in enumerate(sorted(drawn)):
        for region, reach in _reaches(ill[row], meter, variation).items():
            reaches[region].append(reach)
        progress("radiographs", number + 1, len(drawn))
    noise = SeverityNoise(
        reach={
            region: reach_of(reaches[region])
            for region in REGIONS
            if len(reaches[region]) >= FEWEST
        },
        variation=variation,
    )
    document = json_ready(
        {
            PARAMETER: str(noise),
            "what": _WHAT,
            "spec_version": meter.version,
            "threshold": meter.threshold,
            "temperature": meter.temperature,
            "coverage": COVERAGE,
            "variation": dataclasses.asdict(variation),
            "drawn_from": len(ill),
            "held_back": not everything,
            "percentage_points": {
                region: {
                    **dataclasses.asdict(reach),
                    **{
                        f"median_{way}": float(np.median(values))
                        for way, values in zip(
                            ("down", "up"), np.transpose(reaches[region]), strict=True
                        )
                    },
                }
                for region, reach in noise.reach.items()
            },
        }
    )
    write_json(run / SEVERITY_NOISE, document)
    return dict(document)


def reach_of(reaches: Sequence[tuple[float, float]]) -> Reach:
    """The reach that at least 95 % of the radiographs do not exceed, downwards and upwards."""
    down, up = np.quantile(reaches, COVERAGE, axis=0, method="inverted_cdf").round(4).tolist()
    return Reach(down, up, len(reaches))


def _by_region(
    probability: NDArray[np.float32], lungs: NDArray[np.bool_], *, threshold: float
) -> dict[str, float]:
    """Severities by the served definition, which is of the image where there is no lung."""
    image = lung_answer(probability, np.zeros_like(lungs), threshold=threshold).severity_percent
    of_lungs = lung_answer(probability, lungs, threshold=threshold)
    if not of_lungs.of_lungs:
        return {"image": image}
    sides = zip(SIDES, of_lungs.lungs.tolist(), strict=True)
    known = {side: percent for side, percent in sides if not np.isnan(percent)}
    return {"image": image, "lungs": of_lungs.severity_percent, **known}


def _reaches(
    sample: Sample, meter: SeverityMeter, variation: Variation
) -> dict[str, tuple[float, float]]:
    """The reach, down and up, of 95 % of the variants of a radiograph, by region."""
    pixels = decode_file(sample.image).pixels
    mask = np.zeros_like(pixels)
    if sample.lung_mask is not None:
        mask, _ = read_mask(sample.lung_mask, pixels.shape)
    images = np.array([network_input(one) for one in (pixels, *variants(pixels, variation))])
    # The same draws, whatever is moved; a tone leaves 0 and 255, of which a mask is.
    lungs = np.array([network_mask(one) for one in (mask, *variants(mask, variation))])
    itself, *others = meter.severities(images, lungs)
    return dict(_reaches_of(itself, others))


def _reaches_of(
    itself: Mapping[str, float], others: Sequence[Mapping[str, float]]
) -> Iterator[tuple[str, tuple[float, float]]]:
    for region, percent in itself.items():
        known = [other[region] for other in others if region in other]
        if known:
            found = Range.of(percent, known)
            yield region, (percent - found.low, found.high - percent)


def severity_noise_table(document: Mapping[str, Any]) -> Table:
    """A table with a row for each region."""
    return Table(
        "How far a severity goes by itself, in percentage points: 95 % of variants, in 95 % of radiographs",
        ("severity of", "radiographs", "down", "up", "median down", "median up"),
        [
            (
                region,
                str(known["radiographs"]),
                *(f"{known[key]:.2f}" for key in ("down", "up", "median_down", "median_up")),
            )
            for region, known in document["percentage_points"].items()
        ],
    )
