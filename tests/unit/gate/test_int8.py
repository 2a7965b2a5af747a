"""The gate's report names what a network in INT8 keeps in a higher precision."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from cpu_features import cpu_has
from infmap_kit.errors import GateFailed, SpecError
from infmap_kit.gate.int8 import int8_paragraph, int8_records
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.gate.report import Evidence
from infmap_kit.graphs.precision import quantisation
from infmap_kit.graphs.precision.fp16 import named_nodes
from infmap_kit.graphs.precision.int8_record import Int8Record
from infmap_kit.graphs.precision.quantisation import Choice
from infmap_kit.model.precision import Precision
from infmap_kit.release.export import publish
from infmap_kit.release.publish import reference_runner
from infmap_kit.release.source import Source, read_source
from infmap_kit.release.verify import compare_repository
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.targets.target import TargetOptions
from infmap_kit.targets.tensorrt import TensorrtOptions
from infmap_kit.tensorrt import plan
from infmap_kit.triton.repository import Manifest
from plans_without_gpu import PlanOnCpu, stand_in_for_tensorrt
from small_network import deeper_network

PICTURES = synthetic_pictures()


class _FaintPlan(PlanOnCpu):
    """Gives half of each probability."""

    def run(
        self, inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]
    ) -> dict[str, NDArray[Any]]:
        return {
            name: value / 2 if name == "PROBABILITY" else value
            for name, value in super().run(inputs, outputs).items()
        }


def _source(folder: Path, network: onnx.ModelProto | None = None) -> Source:
    onnx.save(network or deeper_network(), folder / "deeper.onnx")
    return read_source(folder / "deeper.onnx")


def _verified(
    source: Source,
    options: TargetOptions,
    folder: Path,
    *,
    pictures: list[tuple[str, NDArray[np.uint8]]] = PICTURES,
) -> tuple[dict[str, Any], str]:
    """The report of `verify` on what was published, as JSON and as Markdown."""
    publish(source, folder / "repository", options, pictures=pictures)
    compare_repository(
        source,
        folder / "repository",
        reference=reference_runner(source),
        pictures=pictures,
        evidence=Evidence(folder / "report"),
    ).require()
    return _read(folder / "report")


def _read(report: Path) -> tuple[dict[str, Any], str]:
    return json.loads((report / "gate.json").read_text())["int8"], (report / "gate.md").read_text()


def test_the_report_of_a_gpus_int8_names_what_stays_in_fp32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in_for_tensorrt(monkeypatch)
    options = TensorrtOptions(precision=Precision.INT8, batches=(1,))
    source = _source(tmp_path)
    document, text = _verified(source, options, tmp_path)
    named = named_nodes(source.segmentation).graph.node
    first = next(node.name for node in named if node.op_type == "Conv")
    record = document["segmentation"]
    assert (record["not_int8"], record["quantised"]) == (1, 2)
    assert record["rest"] == "fp32"
    assert record["kept"] == [first]
    assert "Of 3 convolutions of `segmentation`, 2 compute in INT8 and 1 in FP32. They were" in text
    assert f"\n- `{first}`\n" in text


def test_a_report_of_what_was_refused_names_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Q/DQ graph is equivalent, and the plan that is built of it is not."""
    stand_in_for_tensorrt(monkeypatch)
    monkeypatch.setattr(plan, "PlanEngine", _FaintPlan)
    with pytest.raises(GateFailed, match="nothing was published"):
        publish(
            _source(tmp_path),
            tmp_path / "repository",
            TensorrtOptions(precision=Precision.INT8, batches=(1,)),
            pictures=PICTURES,
            evidence=Evidence(tmp_path / "report"),
        )
    document, text = _read(tmp_path / "report")
    assert len(document["segmentation"]["kept"]) == 1
    assert text.startswith("# Not equivalent")
    assert "2 compute in INT8 and 1 in FP32" in text


def test_the_report_of_a_cpus_int8_names_what_openvino_computes_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One convolution is kept, and of those that are quantised OpenVINO has no 8-bit kernel for each."""
    pytest.importorskip("nncf", reason="needs infmap-kit[int8]")
    monkeypatch.setattr(quantisation, "CHOICES", (Choice(last=1),))
    options = EmbeddedOptions(precision=Precision.INT8)
    # Without VNNI weights have seven bits, and one of the first pictures changes by more than the gate allows.
    pictures = PICTURES if cpu_has("vnni") else PICTURES[4:]
    source = _source(tmp_path, _depthwise_network())
    document, text = _verified(source, options, tmp_path, pictures=pictures)
    record = document["segmentation"]
    (kept,) = record["kept"]
    assert kept.startswith("logit")
    assert f"\n- `{kept}`\n" in text
    # As the compiled graph has it, counted apart from the names.
    counts = Manifest.read(tmp_path / "repository").model["convolutions_by_type"]
    wider = sum(count for kind, count in counts.items() if kind not in ("u8", "i8"))
    assert record["not_int8"] == len(record["kept"]) + len(record["left"]) == wider
    assert record["quantised"] == sum(counts.values()) - wider
    assert f"of `segmentation`, {record['quantised']} compute in INT8 and {wider} in " in text
    for name in record["left"]:
        assert f"\n- `{name}`, quantised, but the engine has no INT8 for it\n" in text


def test_a_report_of_another_precision_says_nothing_of_int8(tmp_path: Path) -> None:
    document, text = _verified(_source(tmp_path), EmbeddedOptions(), tmp_path)
    assert document == {}
    assert "INT8" not in text


def test_records_of_older_and_of_damaged_manifests_are_read() -> None:
    old = {"kept": ["a", "b`c"], "split": 1, "rest": "bf16", "calibration_pictures": 3}
    (record,) = int8_records({"lung_int8": old}).values()
    assert record.quantised is None
    paragraph = int8_paragraph("lung_segmentation", record)
    assert (
        paragraph[0] == "2 convolutions of `lung_segmentation` compute in BF16, the others in INT8."
    )
    assert paragraph[2:] == ["- `a`", "- `b'c`"]
    everything = Int8Record(kept=(), quantised=131, rest="fp32", calibration_pictures=3)
    assert int8_paragraph("segmentation", everything) == [
        "All convolutions of `segmentation` compute in INT8, and none was kept in FP32."
    ]
    with pytest.raises(SpecError, match="int8 of the manifest: kept"):
        int8_records({"int8": {**old, "kept": 3}})


def _depthwise_network() -> onnx.ModelProto:
    """The deeper network with a convolution of each channel by itself before the last convolution."""
    network = deeper_network()
    (last,) = (node for node in network.graph.node if node.output[0] == "logit")
    by_channel = onnx.helper.make_node("Conv", ["lit", "depth"], ["dull"], group=4)
    last.input[0] = "dull"
    network.graph.node.insert(list(network.graph.node).index(last), by_channel)
    weight = np.ones((4, 1, 1, 1), np.float32)
    network.graph.initializer.append(numpy_helper.from_array(weight, "depth"))
    return network
