"""A part of another package: how bright a radiograph is. One file, and one line that registers it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from numpy.typing import NDArray

from infmap_kit.answer.answer import Answer
from infmap_kit.answer.part import PartAnswer
from infmap_kit.errors import ExportError
from infmap_kit.model.files import sha256_of
from infmap_kit.model.finding import FindingSpec
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.model.spec import ModelSpec, NetworkSpec
from infmap_kit.model.tensors import IMAGE, Dtype, Graph, Tensor
from infmap_kit.parts import registry
from infmap_kit.parts.check import Check
from infmap_kit.parts.part import Part
from infmap_kit.parts.recording import Recording

Outputs = Mapping[str, NDArray[Any]]

BRIGHTNESS = Tensor("BRIGHTNESS", Dtype.FLOAT32, ())

_GRAPH = """
<ir_version: 9, opset_import: ["" : 18]>
brightness (uint8[N, 224, 224] IMAGE) => (float[N] BRIGHTNESS)
<int64[2] picture = {1, 2}, float white = {255.0}>
{
    gray = Cast <to = 1> (IMAGE)
    share = Div (gray, white)
    mean = ReduceMean <keepdims = 0> (share, picture)
    BRIGHTNESS = Mul (mean, gain)
}
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BrightnessAnswer(PartAnswer):
    """How bright a radiograph is, in [0, 1]."""

    brightness: float

    def as_json(self, *, detected: bool) -> dict[str, Any]:
        return {"brightness": round(self.brightness, 4)}


@dataclasses.dataclass(frozen=True)
class BrightnessBounds:
    """How far an engine may be from its reference."""

    max_error: float = 0.001


@dataclasses.dataclass(frozen=True)
class BrightnessComparison:
    """How far two answers are apart."""

    error: float


class Brightness(Part):
    """The mean of the pixels."""

    def __init__(self) -> None:
        super().__init__(
            name="brightness",
            graph=Graph(name="brightness", inputs=(IMAGE,), outputs=(BRIGHTNESS,)),
            graph_file="brightness.onnx",
            help="Run folder of a brightness network.",
            noun="a brightness network",
            trained_with="a pen",
        )

    def require(self, spec: ModelSpec, run: Path) -> None:
        if spec.anatomy != self.name:
            raise ExportError(f"{run} knows nothing of brightness")

    def read(self, outputs: Outputs, model: ModelIdentity) -> BrightnessAnswer | None:
        if BRIGHTNESS.name not in outputs:
            return None
        return BrightnessAnswer(brightness=float(outputs[BRIGHTNESS.name]))

    def reference(
        self, raw: Outputs, probability: NDArray[np.float32], finding: FindingSpec
    ) -> BrightnessAnswer:
        return BrightnessAnswer(brightness=float(raw[BRIGHTNESS.name]))

    def bounds(self, precision: str) -> BrightnessBounds:
        return BrightnessBounds()

    def compare(self, reference: Answer, actual: Answer) -> BrightnessComparison | None:
        pair = [answer.parts.get(self.name) for answer in (reference, actual)]
        values = [one.brightness if isinstance(one, BrightnessAnswer) else np.inf for one in pair]
        if pair == [None, None]:
            return None
        return BrightnessComparison(error=abs(values[0] - values[1]))

    def checks(
        self, compared: Sequence[tuple[str, BrightnessComparison]], bounds: BrightnessBounds
    ) -> list[Check]:
        error = max(one.error for _, one in compared)
        return [
            Check(
                key="largest_error",
                value=error,
                label="brightness: largest error",
                text=f"{error:.2e}",
                at_most=bounds.max_error,
                reason=f"brightness is off by {error:.3f}" if error > bounds.max_error else "",
            )
        ]

    def pack(self, answer: PartAnswer) -> dict[str, bytes]:
        if not isinstance(answer, BrightnessAnswer):
            return {}
        return {"json": json.dumps(answer.brightness).encode()}

    def unpack(
        self, recording: Recording, probability: NDArray[np.float32], finding: FindingSpec
    ) -> BrightnessAnswer:
        return BrightnessAnswer(brightness=recording.number(self.name))


def brightness_run(folder: Path, *, gain: float = 1.0) -> Path:
    """A run folder of the part."""
    folder.mkdir(parents=True, exist_ok=True)
    model = onnx.parser.parse_model(_GRAPH)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(gain, np.float32), "gain"))
    onnx.save(model, folder / "brightness.onnx")
    ModelSpec(
        name="brightness",
        version="3",
        network=NetworkSpec.parse("unet/resnet50"),
        files={"brightness.onnx": sha256_of(folder / "brightness.onnx")},
        training={"anatomy": "brightness"},
    ).write(folder / "spec.json")
    return folder


@pytest.fixture
def brightness() -> Iterator[Part]:
    """The part while a test runs."""
    before = registry.optional_parts()
    part = Brightness()
    registry.register(part)
    yield part
    registry._OPTIONAL[:] = before
