from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the training extra is not installed")

from infmap_kit.model.spec import NetworkSpec
from infmap_train.data.dataset import Pictures, Sample
from infmap_train.data.output import json_ready
from infmap_train.evaluation.subgroups import subgroups
from infmap_train.evaluation.tables import subgroup_table

# Name, whether COVID-19, details, and how many of the four pixels are called infected; the truth is two.
_CASES = [
    ("a", True, {"sex": "F", "age": "034Y", "view": "PA"}, 2),
    ("b", True, {"sex": "female", "age": "38"}, 0),
    ("c", True, {"sex": "M", "age": "60.5", "view": "AP Supine"}, 4),
    ("d", False, {"sex": "f", "age": "18 months"}, 0),
    ("e", False, {"sex": "M", "age": "1-5", "view": "PA"}, 1),
    ("f", False, {"sex": "unknown", "age": "old"}, 0),
]


def _pictures() -> tuple[Pictures, np.ndarray]:
    samples = tuple(
        Sample(name=name, image=Path(name), covid=covid, group=name, details=details)
        for name, covid, details, _ in _CASES
    )
    masks = np.zeros((len(samples), 2, 2), np.uint8)
    masks[:, 0] = np.array([covid for _, covid, *_ in _CASES])[:, np.newaxis]
    probability = np.zeros(masks.shape, np.float32)
    for row, case in enumerate(_CASES):
        probability[row].ravel()[: case[3]] = 0.5
    return Pictures(samples, np.zeros_like(masks), masks), probability


def test_figures_of_each_subgroup_by_hand() -> None:
    found = {(g["attribute"], g["value"]): g for g in subgroups(*_pictures())}
    assert list(found) == [
        *(("sex", value) for value in ("female", "male", "not stated")),
        *(("age", f"{span} years") for span in ("0 to 17", "18 to 39", "60 to 79")),
        ("age", "not stated"),
        *(("view", value) for value in ("AP Supine", "PA", "not stated")),
    ]
    women = found["sex", "female"]
    assert (women["images"], women["covid"]) == (3, 2)
    assert women["detection_sensitivity"]["value"] == 0.5
    assert women["detection_specificity"]["value"] == 1
    # Two pixels found of four that are there, none wrongly.
    assert women["pixel_f1"]["value"] == pytest.approx(2 * 2 / (2 * 2 + 2))
    assert women["pixel_f1"]["low"] <= women["pixel_f1"]["value"] <= women["pixel_f1"]["high"]
    men = found["sex", "male"]
    assert (men["images"], men["detection_specificity"]["value"]) == (2, 0)
    assert men["pixel_f1"]["value"] == pytest.approx(2 * 2 / (2 * 2 + 2))
    children = found["age", "0 to 17 years"]
    assert (children["images"], children["covid"]) == (2, 0)
    assert math.isnan(children["pixel_f1"]["value"])


def test_what_nobody_states_has_no_rows() -> None:
    pictures, probability = _pictures()
    bare = tuple(dataclasses.replace(sample, details={}) for sample in pictures.samples)
    assert subgroups(dataclasses.replace(pictures, samples=bare), probability) == []


def test_the_table_reads_figures_back_from_their_file() -> None:
    groups = json.loads(json.dumps(json_ready({"groups": subgroups(*_pictures())})))["groups"]
    table = subgroup_table(NetworkSpec.parse("unet/densenet121"), groups)
    rows = {(row[0], row[1]): row[2:] for row in table.rows}
    assert rows["sex", "female"][:3] == ("3", "2", "50.0 (0.0 to 100.0)")
    assert rows["age", "0 to 17 years"][2:] == ("-", "50.0 (0.0 to 100.0)", "-")
