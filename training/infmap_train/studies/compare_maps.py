"""Infection maps beside activation maps (the paper's III-C and Fig. 7), in numbers."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.model.files import write_json
from infmap_kit.report.table import Table
from infmap_train.data.output import json_ready, write_csv
from infmap_train.evaluation import tables
from infmap_train.evaluation.bootstrap import Interval, bootstrap_mean
from infmap_train.studies.map_quality import MEASURES, TITLES
from infmap_train.studies.map_sheets import write_sheets
from infmap_train.studies.predictions import Predictions

INFECTION, ACTIVATION = "infection map", "activation map"
LUNGS, UNIFORM = "the true lungs", "the same everywhere"

Values = dict[str, dict[str, NDArray[np.float64]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """Both kinds of maps measured on COVID-19 radiographs.

    Parameters
    ----------
    predictions
        Predictions on COVID-19 radiographs.
    values
        By map and measure: (N,) float64, NaN where a measure is not defined.
    report
        JSON-ready: means with their intervals, over all and by source.
    """

    predictions: Predictions
    values: Values
    report: dict[str, Any]


def compare_maps(predictions: Predictions, *, seed: int = 0) -> Comparison:
    """Measure both maps of every radiograph, and two that know nothing of the infection.

    The latter show what a figure is worth: a map that is the same everywhere, and the true lungs
    themselves, the most that anatomy alone could give.

    Parameters
    ----------
    predictions
        Predictions on COVID-19 radiographs: a normal one has no infection to point at.
    seed
        Seed of the bootstrap over patient groups.
    """
    values = _measure(predictions)
    sources = predictions.pictures.sources
    parts = {"all": np.ones(len(sources), dtype=bool)}
    if len(set(sources)) > 1:
        parts |= {str(source): sources == source for source in sorted(set(sources))}
    report = {
        **predictions.identity(),
        "parts": {
            name: _part(values, predictions.pictures.groups, rows, seed)
            for name, rows in parts.items()
        },
    }
    return Comparison(predictions=predictions, values=values, report=report)


def _measure(predictions: Predictions) -> Values:
    shape = predictions.infection.shape
    maps: dict[str, NDArray[Any]] = {
        INFECTION: predictions.infection,
        ACTIVATION: predictions.activation,
        **predictions.others,
        LUNGS: predictions.lungs,
        UNIFORM: np.broadcast_to(np.float32(1), shape),
    }
    known = predictions.lungs.max(axis=(1, 2)) > 0
    values: Values = {name: {key: np.full(shape[0], np.nan) for key in MEASURES} for name in maps}
    for row, mask in enumerate(predictions.pictures.masks):
        lungs = predictions.lungs[row] > 0 if known[row] else None
        for name, pictures in maps.items():
            if name == LUNGS and lungs is None:
                continue
            for key, measure in MEASURES.items():
                values[name][key][row] = measure(pictures[row], mask > 0, lungs)
    return values


def _part(values: Values, groups: list[str], rows: NDArray[np.bool_], seed: int) -> dict[str, Any]:
    chosen = [group for group, here in zip(groups, rows, strict=True) if here]

    def mean(per_picture: NDArray[np.float64]) -> dict[str, float]:
        return bootstrap_mean(per_picture[rows], chosen, seed=seed).as_dict()

    return {
        "images": int(rows.sum()),
        "patient_groups": len(set(chosen)),
        "maps": {
            name: {key: mean(figures) for key, figures in measured.items()}
            for name, measured in values.items()
        },
        # Pairs on the same pictures: their difference is known better than either.
        "infection_minus_activation": {
            key: mean(values[INFECTION][key] - values[ACTIVATION][key]) for key in MEASURES
        },
    }


def comparison_tables(report: dict[str, Any]) -> list[Table]:
    """Make a table for all pictures, and one for each source."""
    return [
        Table(
            f"Maps against the true masks, {name}: {part['images']} COVID-19 radiographs of "
            f"{part['patient_groups']} patient groups, mean (95 % interval by patient group)",
            ("map", *TITLES.values()),
            (
                *(_row(label, measured) for label, measured in part["maps"].items()),
                _row("infection - activation", part["infection_minus_activation"]),
            ),
        )
        for name, part in report["parts"].items()
    ]


def _row(label: str, measured: dict[str, dict[str, float]]) -> tuple[str, ...]:
    return (label, *(Interval(**measured[key]).text() for key in TITLES))


def write_comparison(comparison: Comparison, folder: Path, *, cases: int = 24) -> list[Path]:
    """Write all files; the sheets show radiographs, so the folder is no place to publish.

    Parameters
    ----------
    comparison
        The result of ``compare_maps``.
    folder
        Made when missing; gets ``maps.json``, ``maps.md``, ``.csv`` and ``.tex``, ``images.csv`` and
        ``sheet-1.png`` and so on.
    cases
        How many radiographs the sheets show; 0 for none.
    """
    write_json(folder / "maps.json", json_ready(comparison.report))
    _write_images(comparison, folder / "images.csv")
    return [
        folder / "maps.json",
        folder / "images.csv",
        *tables.write(comparison_tables(comparison.report), folder, "maps"),
        *write_sheets(comparison.predictions, folder, cases=cases),
    ]


def _write_images(comparison: Comparison, path: Path) -> None:
    predictions = comparison.predictions
    named = ((INFECTION, "infection"), (ACTIVATION, "activation"), (LUNGS, "lungs"))
    rows = []
    for row, sample in enumerate(predictions.pictures.samples):
        figures = (comparison.values[name][key][row] for name, _ in named for key in MEASURES)
        rows.append(
            (
                sample.name,
                sample.source,
                (predictions.pictures.masks[row] > 0).sum(),
                f"{predictions.infection[row].max():.4f}",
                f"{predictions.probability[row]:.4f}",
                *("" if np.isnan(figure) else f"{figure:.4f}" for figure in figures),
            )
        )
    columns = ("name", "source", "pixels_true", "probability_max", "classifier_probability")
    measures = (f"{short}_{key}" for _, short in named for key in MEASURES)
    write_csv(path, (*columns, *measures), rows)
