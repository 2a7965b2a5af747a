"""The precisions that networks compute in."""

from __future__ import annotations

import enum


class Precision(enum.StrEnum):
    """The precision of the networks; detection, rendering and classifiers are always computed in FP32."""

    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"
    INT8 = "int8"
