"""The compile gate: what would fail on a GPU host fails here, by node and operator."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from infmap_kit.errors import ExportError, GateFailed, HostMismatch
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.model.precision import Precision
from infmap_kit.release.compilation import GateOptions, compile_graphs, graphs_at, require_passed
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source, with_parts
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions
from small_network import deeper_network, small_lung_run, small_network, small_run

pytest.importorskip("tensorrt_rtx_bindings", reason="needs infmap-kit[compile]")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "small.onnx"
    onnx.save(small_network(), path)
    return path


def test_a_networks_four_graphs_compile_for_each_gpu(model: Path) -> None:
    results = compile_graphs(graphs_at(model), GateOptions(gpus=("2080ti", "sm86")))
    require_passed(results)
    assert [(result.graph, result.generation) for result in results] == [
        (graph, generation)
        for graph in ("segmentation", "detection", "rendering", "summary")
        for generation in ("SM75", "SM86")
    ]
    assert all(result.plan_bytes > 1000 for result in results)
    assert [result.fp16_share for result in results] == [1, 1, *[None] * 6]


def test_fp32_is_compiled_when_it_is_asked_for(model: Path) -> None:
    segmentation = {"segmentation": graphs_at(model)["segmentation"]}
    (result,) = compile_graphs(segmentation, GateOptions(gpus=("sm75",), precision=Precision.FP32))
    assert (result.passed, result.fp16_share) == (True, 0)


def test_tf2onnxs_resize_fails_the_gate_with_the_nodes_name() -> None:
    unprepared = small_network(image="IMAGE", probability="probability")
    for node in unprepared.graph.node:
        node.name = f"the_{node.output[0]}"
    results = compile_graphs({"segmentation": unprepared}, GateOptions(gpus=("sm75",)))
    with pytest.raises(GateFailed, match=r"1 of 1.*'the_larger' \(Resize\)"):
        require_passed(results)
    assert [refusal.node for refusal in results[0].refusals] == ["the_larger"]


def test_the_graphs_of_a_published_repository_are_compiled(model: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    options = OnnxruntimeOptions(batches=(1, 2))
    publish(read_source(model), repository, options, pictures=synthetic_pictures()[:1])
    require_passed(compile_graphs(graphs_at(repository), GateOptions(gpus=("sm86",))))


def test_with_lungs_there_are_five_graphs_and_two_networks(tmp_path: Path) -> None:
    run, lungs = small_run(tmp_path / "run"), small_lung_run(tmp_path / "lungs")
    results = compile_graphs(graphs_at(run, {"lungs": lungs}), GateOptions(gpus=("sm75",)))
    require_passed(results)
    assert [(result.graph, result.fp16_share) for result in results] == [
        ("segmentation", 1),
        ("lung_segmentation", 1),
        ("detection", None),
        ("rendering", None),
        ("summary", None),
    ]
    options = OnnxruntimeOptions(batches=(1, 2))
    source = with_parts(read_source(run), {"lungs": lungs})
    publish(source, tmp_path / "r", options, pictures=synthetic_pictures()[:1])
    assert list(graphs_at(tmp_path / "r")) == [result.graph for result in results]


def test_int8_compiles_with_what_the_gate_keeps_in_fp32(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run", deeper_network())
    lungs = small_lung_run(tmp_path / "lungs", deeper_network())
    options = GateOptions(gpus=("sm86",), precision=Precision.INT8)
    results = compile_graphs(graphs_at(run, {"lungs": lungs}), options)
    require_passed(results)
    networks, others = results[:2], results[2:]
    assert [result.int8_share for result in networks] == [pytest.approx(2 / 3)] * 2
    assert [len(result.kept) for result in networks] == [1, 1]
    assert {result.int8_share for result in others} == {None}


def test_a_gpu_that_nobody_knows_is_said(model: Path) -> None:
    with pytest.raises(HostMismatch, match="2080ti.*found 'voodoo'"):
        compile_graphs(graphs_at(model), GateOptions(gpus=("voodoo",)))


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ExportError, match="--precision int8, or no --calibration-images"):
        GateOptions(calibration_images=Path("radiographs"))
    with pytest.raises(ExportError, match="fp16, fp32, int8, found"):
        GateOptions(precision=Precision.BF16)
    with pytest.raises(ExportError, match="at least one GPU"):
        GateOptions(gpus=())
