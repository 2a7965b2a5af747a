"""Answers made up for tests."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.answer.answer import Answer
from infmap_kit.answer.classifier import ClassifierAnswer
from infmap_kit.answer.severity import lung_answer
from infmap_kit.imaging.colour import infection_map
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.model.identity import ModelIdentity

MODEL = {
    "model_name": "infmap U-Net DenseNet-121, not frozen",
    "model_version": "8d188037d66b",
    "network": "U-Net DenseNet-121",
    "onnx_sha256": "e6209800d6e65048b258ffa922c2a2615dc373e83d95564e12f88b23430131fe",
    "precision": "fp32",
    "target": "embedded",
}


def probability() -> NDArray[np.float32]:
    """(224, 224) float32: two regions of infection, one with a hole, far from symmetric."""
    field = np.full((224, 224), 0.04, np.float32)
    field[60:110, 40:85] = 0.93
    field[80:92, 55:70] = 0.2
    field[150:165, 150:200] = 0.61
    return field


def made_up(radiograph: Radiograph, **changes: Any) -> Answer:
    """An answer about a radiograph; ``classifier_probability`` adds a classifier's."""
    classifier = changes.pop("classifier_probability", None)
    field: NDArray[np.float32] = changes.pop("probability", probability())
    stated: dict[str, Any] = {
        "detected": bool((field >= 0.5).any()),
        "severity_percent": float((field >= 0.5).mean() * 100),
        "probability": field,
        "infection_map": infection_map(radiograph.pixels, field),
        "model": ModelIdentity(MODEL),
        "timings_ms": {"served": 1.0},
    }
    answer = Answer(**{**stated, **changes})
    if classifier is None:
        return answer
    parts = {**answer.parts, "classifier": ClassifierAnswer(probability=classifier)}
    return dataclasses.replace(answer, parts=parts)


def lungs() -> NDArray[np.uint8]:
    """(224, 224) uint8: two boxes, the left one shorter than the right one."""
    mask = np.zeros((224, 224), np.uint8)
    mask[30:180, 30:100] = 1
    mask[60:180, 130:200] = 1
    return mask


def with_lungs(radiograph: Radiograph, **changes: Any) -> Answer:
    """An answer about a radiograph whose lungs are known."""
    mask: NDArray[np.uint8] = changes.pop("lungs", lungs())
    field: NDArray[np.float32] = changes.get("probability", probability())
    said = lung_answer(field, mask > 0, threshold=0.5)
    model = {
        **MODEL,
        "lungs_name": "infmap lungs U-Net ResNet-50",
        "lungs_version": "1f",
        "lungs_onnx_sha256": 64 * "a",
        "grades": "0,25,50",
    }
    stated: dict[str, Any] = {
        "severity_percent": said.severity_percent,
        "parts": {"lungs": said},
        "model": ModelIdentity(model),
    }
    return made_up(radiograph, **{**stated, **changes})
