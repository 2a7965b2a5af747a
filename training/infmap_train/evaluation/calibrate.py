"""Calibrate a finished run: a temperature, and its effect on pictures that it was not fitted on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.model.files import write_json
from infmap_kit.model.run_folder import CALIBRATION
from infmap_kit.model.spec import Anatomy
from infmap_kit.progress import Progress, no_progress
from infmap_kit.report.table import Table
from infmap_train import run_folder
from infmap_train.data.dataset import Pictures, split_by_group
from infmap_train.data.output import json_ready
from infmap_train.evaluation import plots
from infmap_train.evaluation.calibration import (
    BINS,
    LEAST_PROBABILITY,
    Reliability,
    fit_temperature,
    is_at_bound,
    logit,
    negative_log_likelihood,
    tempered,
)
from infmap_train.evaluation.detection_plots import draw_decision_curve
from infmap_train.evaluation.evaluate import evaluate


@dataclasses.dataclass(frozen=True)
class _Part:
    """Pictures with the network's probabilities, before and after a temperature."""

    pictures: Pictures
    before: NDArray[np.float32]
    after: NDArray[np.float32]


def calibrate_run(
    run: Path,
    folder: Path,
    *,
    everything: bool = False,
    seed: int = 0,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Fit a run's temperature, measure it fairly, and write ``calibration.json`` and a diagram.

    The pictures are parted in two halves by patient group. Each half is measured at the temperature that the
    other half asks for, and ``ece_after`` is of both halves measured so. The temperature that is handed on is
    fitted on all of them.

    Parameters
    ----------
    run
        The run folder; gets ``calibration.json``, ``plots/reliability.png`` and, for an infection,
        ``plots/decision_curve.png`` (no radiograph).
    folder
        The data, as for training.
    everything
        Take all pictures in ``folder``, not those alone that the run held back: for data of others.
    seed
        Seed by which the patients are split into halves.

    Returns
    -------
    dict
        The content of ``calibration.json``.

    Raises
    ------
    SpecError
        When the run is not finished or damaged.
    TrainingError
        When the data are unfit, have too few patients, or lack the pictures that were held back.
    """
    spec = run_folder.read(run)
    evaluation = evaluate(run, folder, everything=everything, progress=progress)
    pictures, probability = evaluation.pictures, evaluation.probability
    document, parts, after = calibrate(pictures, probability, seed=seed)
    document = json_ready(
        {
            "temperature": document["temperature"],
            "temperature_at_bound": is_at_bound(document["temperature"]),
            "spec_version": spec.version,
            "anatomy": str(pictures.anatomy),
            **document,
            "fitted_on": {
                "what": "all pictures of the folder" if everything else "all held-back pictures",
                "pictures": len(pictures.samples),
                "patient_groups": len(set(pictures.groups)),
                "dataset_fingerprint": pictures.fingerprint(),
            },
        }
    )
    write_json(run / CALIBRATION, document)
    figures = {"reliability.png": plots.draw_reliability(parts)}
    if pictures.anatomy is Anatomy.INFECTION:
        peaks = {
            f"largest probability, {when}": answered.max(axis=(1, 2))
            for when, answered in (("as trained", probability), ("calibrated", after))
        }
        figures["decision_curve.png"] = draw_decision_curve(pictures.covid, peaks)
    plots.save(figures, run / "plots")
    return dict(document)


def calibrate(
    pictures: Pictures, probability: NDArray[np.float32], *, seed: int = 0
) -> tuple[dict[str, Any], dict[str, tuple[Reliability, Reliability]], NDArray[np.float32]]:
    """Fit on each half of the patients and measure on the other, then fit on all.

    Returns
    -------
    tuple
        Temperature and figures; the reliability before and after by what was counted; and the probabilities,
        each at the temperature that the other half asks for.
    """
    truth = pictures.masks > 0
    halves = []
    after = np.empty_like(probability)
    for fitted, measured in split_by_group(pictures.samples, folds=2, seed=seed):
        temperature = fit_temperature(truth[fitted], probability[fitted])
        after[measured] = tempered(probability[measured], temperature)
        half = _Part(pictures.take(measured), probability[measured], after[measured])
        halves.append(
            {"temperature": temperature, "fitted_on": len(fitted), "told_on": len(measured)}
            | _figures(half)
        )
    together = _Part(pictures, probability, after)
    counted = _reliability(together)
    document = {
        "temperature": fit_temperature(truth, probability),
        **_figures(together),
        "bins": f"{BINS} of one width from 0 to 1",
        "probabilities_kept_from_0_and_1": LEAST_PROBABILITY,
        "halves": halves,
        "reliability": {
            what: {"before": before.rows(), "after": later.rows()}
            for what, (before, later) in counted.items()
        },
    }
    return document, counted, after


def calibration_table(document: dict[str, Any]) -> Table:
    """Make a row for each half and for both, on pictures that the temperature was not fitted on."""
    rows = [
        (f"half {n}, fitted on {half['fitted_on']} others", half["temperature"], half)
        for n, half in enumerate(document["halves"], start=1)
    ]
    rows.append(("both", document["temperature"], document))
    measures = [("ECE %", "ece", 100, ".2f"), ("log loss", "nll", 1, ".4f")]
    if "ece_images_before" in document:
        measures.append(("ECE % of images", "ece_images", 100, ".2f"))
    return Table(
        f"Calibration of pixels ({document['bins']}); 'both' is served with the temperature fitted on all",
        ("", "temperature", *(s for title, *_ in measures for s in (f"{title} before", "after"))),
        [
            (
                label,
                f"{temperature:.3f}",
                *(
                    format(factor * part[f"{key}_{when}"], form)
                    for _, key, factor, form in measures
                    for when in ("before", "after")
                ),
            )
            for label, temperature, part in rows
        ],
        notes=[
            f"The temperature {document['temperature']:.3g} stands at the bound of what is tried: none mends "
            f"this network, {_why_at_bound(document['temperature'])}. Do not serve it with this one."
            if is_at_bound(document["temperature"])
            else ""
        ],
    )


def _why_at_bound(temperature: float) -> str:
    if temperature > 1:
        return "whose order of pixels is likely to be wrong"
    return "whose probabilities hardly differ, as after too short a training"


def _reliability(part: _Part) -> dict[str, tuple[Reliability, Reliability]]:
    truth = part.pictures.masks > 0
    counted = {"pixels": tuple(Reliability.measure(truth, p) for p in (part.before, part.after))}
    if part.pictures.anatomy is Anatomy.INFECTION:
        counted["images"] = tuple(
            Reliability.measure(part.pictures.covid, p.max(axis=(1, 2)))
            for p in (part.before, part.after)
        )
    return {what: (before, after) for what, (before, after) in counted.items()}


def _figures(part: _Part) -> dict[str, float]:
    truth = part.pictures.masks > 0
    figures = {}
    for what, pair in _reliability(part).items():
        suffix = "" if what == "pixels" else f"_{what}"
        for when, reliability in zip(("before", "after"), pair, strict=True):
            figures[f"ece{suffix}_{when}"] = reliability.ece
    for when, probability in (("before", part.before), ("after", part.after)):
        figures[f"nll_{when}"] = negative_log_likelihood(truth, logit(probability))
    return figures
