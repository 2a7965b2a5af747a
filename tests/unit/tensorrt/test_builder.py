"""The builder on NVIDIA's real compiler, which needs no GPU to build."""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Callable

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from infmap_kit.errors import ExportError, HostMismatch
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.graphs.detection import detection_graph
from infmap_kit.graphs.precision.fp16 import fp16_graph, named_nodes
from infmap_kit.graphs.precision.qdq import qdq_graph
from infmap_kit.graphs.preparation import prepare_segmentation
from infmap_kit.graphs.rendering import rendering_graph
from infmap_kit.graphs.summary import summary_graph
from infmap_kit.model.paint import PAPER, Paint
from infmap_kit.parts.contract import Contract
from infmap_kit.tensorrt.builder import BuildOptions, engine_from_onnx
from infmap_kit.tensorrt.layers import LayerTypes, layers_from_inspector
from infmap_kit.tensorrt.profiles import LARGEST_CANVAS, profiles_of
from infmap_kit.tensorrt.refusal import GraphRefused
from products import DENSE, FAMILIARITY
from small_network import deeper_network, small_network

trt = pytest.importorskip("tensorrt_rtx_bindings", reason="needs infmap-kit[compile]")

TURING = BuildOptions(profiles=profiles_of("segmentation", (1, 8)), compute_capabilities=("SM75",))


def test_an_fp16_graph_becomes_an_fp16_engine() -> None:
    graph = fp16_graph(prepare_segmentation(small_network())).model
    engine = engine_from_onnx(trt, graph, TURING)
    assert len(engine.plan) > 1000
    assert engine.layers.counts["CONVOLUTION"] == {"HALF": 1}
    engine.layers.require_fp16("segmentation")


def test_an_engine_that_silently_became_fp32_is_refused() -> None:
    engine = engine_from_onnx(trt, prepare_segmentation(small_network()), TURING)
    assert engine.layers.fp16_share == 0
    with pytest.raises(ExportError, match="asked for in FP16, and 1 of its 1 convolutions"):
        engine.layers.require_fp16("segmentation")


def test_matrix_products_in_fp32_compile_for_turing() -> None:
    """NVIDIA's compiler refuses them there as they are: of a familiarity, or of a classifier in FP32."""
    for graph, features in ((FAMILIARITY, 6), (DENSE, 6)):
        shapes = {"features": ((1, features), (8, features), (32, features))}
        options = BuildOptions(profiles=(shapes,), compute_capabilities=("SM75",))
        assert engine_from_onnx(trt, graph, options).plan


def test_both_gpu_generations_in_one_build() -> None:
    options = dataclasses.replace(TURING, compute_capabilities=("SM75", "SM86"))
    assert engine_from_onnx(trt, prepare_segmentation(small_network()), options).plan


@pytest.mark.parametrize("lungs", [False, True])
@pytest.mark.parametrize("name", ["detection", "rendering", "summary"])
def test_the_postprocessing_compile_for_any_canvas(name: str, lungs: bool) -> None:
    paint = Paint(paint_in="lungs") if lungs else PAPER
    contract = Contract(("lungs",) if lungs else (), paint=paint, summary=True)
    graph = {
        "detection": detection_graph(lungs=bool(contract.parts)),
        "rendering": rendering_graph(paint),
        "summary": summary_graph(),
    }[name]
    profiles = profiles_of(name, (1, 8, 32), contract)
    assert name != "rendering" or profiles[0]["CANVAS"][2] == (1, LARGEST_CANVAS, LARGEST_CANVAS)
    for generation in ("SM75", "SM86"):
        options = BuildOptions(profiles=profiles, compute_capabilities=(generation,))
        assert engine_from_onnx(trt, graph, options).plan


def test_tf2onnxs_own_resize_is_refused_by_name_and_the_rewritten_one_is_not() -> None:
    """That the two are equal to the bit is shown in test_onnx.py."""
    original = small_network(image="IMAGE", probability="probability")
    original.graph.node[4].name = "decoder/up_sampling"
    with pytest.raises(
        GraphRefused, match=r"'decoder/up_sampling' \(Resize\).*prepare_segmentation"
    ) as caught:
        engine_from_onnx(trt, original, TURING)
    (refusal,) = caught.value.refusals
    assert refusal.node == "decoder/up_sampling"
    assert "tf_half_pixel_for_nn" in refusal.reason
    assert engine_from_onnx(trt, prepare_segmentation(original), TURING).plan


def test_every_refused_node_is_named() -> None:
    """Nodes without a name are called by what they make."""
    model = onnx.parser.parse_model("""
        <ir_version: 9, opset_import: ["" : 18]>
        g (uint8[N, 224, 224] IMAGE) => (float[N, 224, 224] y)
        { cut = Unsqueeze (IMAGE, axis)
          joined = Squeeze (cut, axis)
          cast = Cast <to = 1> (joined)
          y = Celu (cast) }
    """)
    model.graph.initializer.append(numpy_helper.from_array(np.array([1]), "axis"))
    with pytest.raises(GraphRefused, match="cast to float before") as caught:
        engine_from_onnx(trt, model, TURING)
    assert "-> cut" in {refusal.node for refusal in caught.value.refusals}


def test_the_librarys_own_progress_is_reported() -> None:
    phases: dict[str, tuple[int, int]] = {}
    engine_from_onnx(
        trt,
        prepare_segmentation(small_network()),
        TURING,
        progress=lambda phase, done, total: phases.update({phase: (done, total)}),
    )
    assert phases["Building engine"][0] == phases["Building engine"][1] > 0


def test_ctrl_c_stops_the_build() -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine_from_onnx(trt, prepare_segmentation(small_network()), TURING, progress=interrupt)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_timing_cache_goes_from_build_to_build() -> None:
    """This library keeps an empty one; what is shown is that it is taken and given back."""
    graph = prepare_segmentation(small_network())
    first = engine_from_onnx(trt, graph, dataclasses.replace(TURING, timing_cache=b""))
    assert first.timing_cache
    again = dataclasses.replace(TURING, timing_cache=first.timing_cache)
    assert engine_from_onnx(trt, graph, again).plan


def test_a_generation_that_the_library_does_not_know_is_named() -> None:
    options = dataclasses.replace(TURING, compute_capabilities=("SM61",))
    with pytest.raises(HostMismatch, match=r"SM75, SM80.*found SM61"):
        engine_from_onnx(trt, prepare_segmentation(small_network()), options)


def test_plans_for_every_gpu_of_a_compute_capability_compile() -> None:
    options = dataclasses.replace(TURING, portable=True)
    assert engine_from_onnx(trt, prepare_segmentation(small_network()), options).plan


def test_version_compatible_plans_are_asked_for_as_such() -> None:
    """This library lacks the lean runtime that goes into such a plan, and says so; `tensorrt` has it."""
    options = dataclasses.replace(TURING, version_compatible=True)
    with pytest.raises(ExportError, match="libnvinfer_lean"):
        engine_from_onnx(trt, prepare_segmentation(small_network()), options)


def test_shapes_that_do_not_fit_the_graph_are_said() -> None:
    shapes = {"IMAGE": ((1, 100, 100),) * 3}
    options = dataclasses.replace(TURING, profiles=(shapes,))
    with pytest.raises(ExportError, match="IMAGE"):
        engine_from_onnx(trt, prepare_segmentation(small_network()), options)


FP16, FP32 = "Channel major FP16 format where C % 8 == 0", "Row major linear FP32"
INT8 = "Thirty-two wide channel vectorized row major Int8 format"


def _until_10(tensor: str, type_: str) -> dict[str, str]:
    """A tensor in the form of TensorRT 10's documentation of the engine inspector."""
    return {"Name": tensor, "Format/Datatype": type_}


def _from_11(key: str) -> Callable[[str, str], dict[str, str]]:
    """A tensor as NVIDIA's guide for migrating from TensorRT 10 to 11 has it: format and type apart."""
    types = {FP16: "Half", FP32: "Float", INT8: "Int8"}
    return lambda tensor, type_: {"Name": tensor, "Format": "Row major", key: types[type_]}


@pytest.mark.parametrize("tensor", [_until_10, _from_11("Datatype"), _from_11("DataType")])
def test_the_inspectors_json_is_read(tensor: Callable[[str, str], dict[str, str]]) -> None:
    document = {
        "Layers": [
            {"Name": "conv1 + relu", "LayerType": "CaskConvolution", "Outputs": [tensor("a", FP16)]},
            {"Name": "conv2", "LayerType": "CaskConvolution", "Outputs": [tensor("b", FP32)]},
            {"Name": "last conv + cast", "LayerType": "CaskConvolution",
             "Inputs": [tensor("a", FP16)], "Outputs": [tensor("d", FP32)]},
            {"Name": "copy", "LayerType": "Reformat", "Outputs": [tensor("c", FP32)]},
            "a layer of which only the name is known",
        ]
    }  # fmt: skip
    layers = layers_from_inspector(json.dumps(document))
    assert layers.counts == {"CONVOLUTION": {"HALF": 2, "FLOAT": 1}, "REFORMAT": {"FLOAT": 1}}
    assert layers.inspected
    assert layers.fp16_share == pytest.approx(2 / 3)


def test_a_type_that_no_key_tells_is_not_taken_for_fp32(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later TensorRT may rename the key once more; its network's own types count then, and it is said."""
    told = {
        "Layers": [
            {
                "Name": "conv",
                "LayerType": "CaskConvolution",
                "Outputs": [{"Name": "a", "Format": "Row major", "Type": "Half"}],
            }
        ]
    }
    inspector = types.SimpleNamespace(get_engine_information=lambda _: json.dumps(told))
    engine = types.SimpleNamespace(create_engine_inspector=lambda: inspector)
    # No engine can be loaded without a GPU; what stands in for it says what a later version may say.
    monkeypatch.setattr(
        trt, "Runtime", lambda _: types.SimpleNamespace(deserialize_cuda_engine=lambda _: engine)
    )
    graph = fp16_graph(prepare_segmentation(small_network())).model
    built = engine_from_onnx(trt, graph, TURING)
    assert not built.layers.inspected
    built.layers.require_fp16("segmentation")
    assert "tells the type of no convolution" in caplog.text
    in_fp32 = engine_from_onnx(trt, prepare_segmentation(small_network()), TURING)
    with pytest.raises(ExportError, match="asked for in FP16"):
        in_fp32.layers.require_fp16("segmentation")


def test_what_was_kept_in_fp32_is_not_held_against_an_engine() -> None:
    prepared = prepare_segmentation(small_network())
    (product,) = [n.name for n in named_nodes(prepared).graph.node if n.op_type == "Conv"]
    half = fp16_graph(prepared, keep_fp32=[product])
    engine = engine_from_onnx(trt, half.model, TURING)
    assert engine.layers.fp16_share == 0
    engine.layers.require_fp16("segmentation", kept_fp32=half.kept_products)
    with pytest.raises(ExportError, match="1 of its 1 convolutions"):
        engine.layers.require_fp16("segmentation")


@pytest.mark.parametrize("form", [_until_10, _from_11("Datatype"), _from_11("DataType")])
def test_int8_is_told_by_what_a_convolution_reads(
    form: Callable[[str, str], dict[str, str]],
) -> None:
    """The last in INT8 gives FP32, and one in FP32 may be joined with the Q node of the next."""

    def layer(name: str, kind: str, read: str, given: str) -> dict[str, object]:
        ends = {"Inputs": [form("a", read)], "Outputs": [form("b", given)]}
        return {"Name": name, "LayerType": kind, **ends}

    document = {
        "Layers": [
            layer("first conv + quantise", "CaskConvolution", FP32, INT8),
            layer("conv + relu + quantise", "CaskConvolution", INT8, INT8),
            layer("1x1 conv", "CaskGemmConvolution", INT8, INT8),
            layer("last conv", "CaskConvolution", INT8, FP32),
            layer("copy", "Reformat", FP32, FP32),
        ]
    }
    layers = layers_from_inspector(json.dumps(document))
    assert layers.counts["CONVOLUTION"] == {"FLOAT": 1, "INT8": 3}
    assert layers.int8_share == pytest.approx(3 / 4)
    layers.require_int8("segmentation", kept_fp32=1)
    with pytest.raises(ExportError, match="asked for in INT8, and 1 of its 4 convolutions"):
        layers.require_int8("segmentation")


def test_a_graph_with_q_dq_nodes_becomes_an_int8_engine() -> None:
    prepared = prepare_segmentation(deeper_network())
    quantised = qdq_graph(prepared, synthetic_pictures()[:2])
    engine = engine_from_onnx(trt, quantised.model, TURING)
    assert engine.layers.counts["CONVOLUTION"] == {"FLOAT": 1, "INT8": 2}
    engine.layers.require_int8("segmentation", kept_fp32=quantised.kept_products)
    in_fp32 = engine_from_onnx(trt, prepared, TURING)
    with pytest.raises(ExportError, match="asked for in INT8, and 3 of its 3 convolutions"):
        in_fp32.layers.require_int8("segmentation", kept_fp32=quantised.kept_products)


def test_a_graph_without_products_has_no_share() -> None:
    assert LayerTypes(counts={"REDUCE": {"FLOAT": 2}}, inspected=False).fp16_share is None
