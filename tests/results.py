"""Results as `infmap-kit infer` writes them, made up for tests."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from findings import MODEL, probability
from infmap_kit.imaging.colour import infection_map
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.severity_noise import Variation
from infmap_kit.progression.course import Course, line_up
from infmap_kit.progression.noise import Measured, Noise
from infmap_kit.progression.reading import Reading
from infmap_kit.progression.result import parse_result
from infmap_kit.results.journal import JOURNAL

FIRST = dt.datetime(2026, 1, 5, 9, 30)  # noqa: DTZ001


def json_lines(text: str | bytes) -> list[dict[str, Any]]:
    """What `infmap-kit infer --json` printed: lines that each end."""
    content = text.encode() if isinstance(text, str) else text
    *lines, end = content.split(b"\n")
    assert not end
    return [json.loads(line) for line in lines]


def written_contents(folder: Path) -> dict[str, Any]:
    """Results by name, without times; of DICOM objects, which say when they were made, the name alone."""
    contents: dict[str, Any] = {}
    for path in folder.iterdir():
        if path.name == JOURNAL:
            continue
        contents[path.name] = None if path.suffix == ".dcm" else path.read_bytes()
        if path.suffix == ".json":
            contents[path.name] = {**json.loads(path.read_text()), "timings_ms": None}
    return contents


def result_document(number: int = 0, **changes: Any) -> dict[str, Any]:
    """The JSON of a radiograph's result; of patient ``"P"``, taken ``number`` days after the first.

    Parameters
    ----------
    number
        Another number, another radiograph.
    changes
        Set over what is there; ``None`` takes a key away.
    """
    document: dict[str, Any] = {
        "source": f"chest_{number}.png",
        "height": 64,
        "width": 64,
        "pixels": f"sha256:{number:032x}",
        "patient": "P",
        "study_time": (FIRST + dt.timedelta(days=number)).isoformat(),
        "infection_map": None,
        "dicom": [],
        "detected": True,
        "probability_max": 0.9,
        "severity_percent": 10.0 + number,
        "severity_of": "image",
        "model": MODEL,
        "timings_ms": {"served": 1.0},
        **changes,
    }
    return {key: value for key, value in document.items() if value is not None}


def write_results(folder: Path, *documents: object) -> list[Path]:
    """Write each into a file of its own: ``0.json``, ``1.json``, …"""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.json" for number in range(len(documents))]
    for path, document in zip(paths, documents, strict=True):
        path.write_text(json.dumps(document))
    return paths


def noise_document(
    *widths: float, model: dict[str, str] | None = None, **changes: Any
) -> dict[str, Any]:
    """The record of a noise: radiograph ``i`` of severity 10 + i goes ``widths[i]`` up and down."""
    return {
        "kind": "infmap-kit noise",
        "model": MODEL if model is None else model,
        "variation": {
            "variants": 20,
            "seed": 0,
            "shift_percent": 2.0,
            "rotation_degrees": 2.0,
            "tone_percent": 5.0,
        },
        "radiographs": [
            {
                "source": f"chest_{i}.png",
                "pixels": f"sha256:{i:032x}",
                "severity_of": "image",
                "severity_percent": {"total": 10.0 + i},
                "detected": 20,
                "variants_percent": {"total": [10.0 + i - width, 10.0 + i + width] * 50},
            }
            for i, width in enumerate(widths)
        ],
        **changes,
    }


def course_with_maps() -> tuple[Course, list[NDArray[np.uint8] | None]]:
    """A course of lungs with noise and grades, and a map of each result but one."""
    documents = [
        result_document(
            number,
            severity_percent=severity,
            severity_of="lungs",
            lungs={
                "right": {"severity_percent": 1.3 * severity},
                "left": {"severity_percent": 0.6 * severity},
            },
            grade="mild",
        )
        for number, severity in enumerate((3.1, 9.5, 14.2, 13.8))
    ]
    results = tuple(parse_result(one, Path(f"{i}.json")) for i, one in enumerate(documents))
    measured = Measured(
        source="chest_0.png",
        pixels=results[0].pixels,
        severity_of="lungs",
        percent={"total": 3.1, "right": 4.0},
        variants_percent={"total": [2.6, 3.5] * 10, "right": [3.2, 4.9] * 10},
        detected=20,
    )
    noise = Noise(model=results[0].model, variation=Variation(variants=20), radiographs=(measured,))
    maps: list[NDArray[np.uint8] | None] = [
        infection_map(pixels, probability())
        for pixels in (synthetic_radiograph(5, height=300, width=260).radiograph.pixels,) * 3
    ]
    return line_up(Reading(results=results), noise=noise), [*maps, None]
