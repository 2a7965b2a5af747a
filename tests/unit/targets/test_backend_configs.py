"""Configs of Triton's own backends: Triton's grammar, the committed files, and what each promise needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest

from golden_configs import CASES, FOLDER, LUNGS, OPTIONS, configs_of, golden_texts
from infmap_kit.errors import SpecError
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.model.precision import Precision
from infmap_kit.model.tensors import Graph
from infmap_kit.parts.contract import ENSEMBLE
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.targets.backends import BackendOptions
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions
from infmap_kit.targets.openvino import OpenvinoOptions
from infmap_kit.targets.tensorrt import TensorrtOptions
from infmap_kit.tensorrt.profiles import profiles_of
from infmap_kit.triton.config import ensemble_config, parse_config
from infmap_kit.triton.repository import check_repository
from small_network import small_network


@pytest.mark.parametrize("name", sorted(golden_texts()))
def test_committed_configs_are_what_export_writes(name: str) -> None:
    committed = (FOLDER / name).read_text(encoding="utf-8")
    assert committed == golden_texts()[name]
    assert parse_config(committed).name == Path(name).parent.name


def test_no_committed_config_is_left_over() -> None:
    present = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("config.pbtxt")}
    assert present == set(golden_texts())


@pytest.mark.parametrize("case", CASES)
def test_every_target_keeps_the_promises(case: str) -> None:
    options, contract = CASES[case]
    configs = configs_of(options, {}, contract)
    assert tuple(configs) == (ENSEMBLE.name, *(graph.name for graph in contract.graphs))
    # One contract: the ensemble does not know what is behind it.
    assert configs[ENSEMBLE.name] == ensemble_config({}, contract)
    for graph in contract.graphs:
        config = configs[graph.name]
        assert config.backend == options.target
        assert list(config.version_policy.specific.versions) == [1]
        assert not config.response_cache.enable
        assert config.instance_group[0].count == 1
        # Complete, so that nothing is left to be auto-completed.
        assert [tensor.name for tensor in config.input] == [t.name for t in graph.inputs]
        assert [tensor.name for tensor in config.output] == [t.name for t in graph.outputs]
    for graph in contract.networks:
        network = configs[graph.name]
        if options.target == "openvino":
            # Its backend makes max_batch_size the only batch that a graph takes.
            assert network.max_batch_size == 0
            assert not network.HasField("dynamic_batching")
            assert list(network.input[0].dims) == [-1, 224, 224]
            sizes = [warm.inputs["IMAGE"].dims[0] for warm in network.model_warmup]
        else:
            assert network.max_batch_size == options.batches[-1]
            assert network.HasField("dynamic_batching")
            sizes = [warm.batch_size for warm in network.model_warmup]
        assert sizes == list(options.batches)
    for name in ("detection", "rendering", "summary"):
        # Triton wants a dimension besides the batch, and DETECTED has none.
        assert configs[name].max_batch_size == 0
        sizes = [warm.inputs["probability"].dims[0] for warm in configs[name].model_warmup]
        assert sizes == list(options.batches)


def test_cuda_graphs_and_profiles_are_tensorrts_alone() -> None:
    options = OPTIONS["tensorrt"]
    configs = configs_of(options, {})
    graphs = configs["segmentation"].optimization.cuda
    assert graphs.graphs
    # The backend captures each in every profile, and logs an error where a profile does not hold it.
    captured = [spec.batch_size for spec in graphs.graph_spec]
    for profile in profiles_of("segmentation", options.batches):
        smallest, _, largest = profile["IMAGE"]
        assert all(smallest[0] <= batch <= largest[0] for batch in captured)
    strategies = {
        config.parameters["execution_context_allocation_strategy"].string_value
        for name, config in configs.items()
        if name != ENSEMBLE.name
    }
    assert strategies == {"ON_PROFILE_CHANGE"}
    assert not configs["rendering"].optimization.cuda.graphs
    assert not configs_of(OPTIONS["onnxruntime"], {})["segmentation"].optimization.cuda.graphs


@pytest.mark.parametrize("graph", LUNGS.graphs, ids=lambda graph: graph.name)
def test_configs_name_the_profiles_that_engines_have(graph: Graph) -> None:
    options = OPTIONS["tensorrt"]
    profiles = profiles_of(graph.name, options.batches, LUNGS)
    named = configs_of(options, {}, LUNGS)[graph.name].instance_group[0].profile
    assert list(named) == [str(index) for index in range(len(profiles))]
    for profile in profiles:
        assert list(profile) == [tensor.name for tensor in graph.inputs]


@pytest.mark.parametrize(
    "options",
    [
        OnnxruntimeOptions(precision=Precision.FP16, batches=(1, 4), gpu=False),
        OpenvinoOptions(precision=Precision.FP32, batches=(1, 4)),
    ],
    ids=lambda options: options.target,
)
def test_what_is_published_holds_what_its_configs_name(
    options: BackendOptions, tmp_path: Path
) -> None:
    onnx.save(small_network(), tmp_path / "small.onnx")
    repository = tmp_path / "repository"
    manifest, gate = publish(
        read_source(tmp_path / "small.onnx"), repository, options, pictures=synthetic_pictures()[:2]
    )
    assert check_repository(repository) == manifest
    assert (manifest.target, manifest.precision) == (options.target, options.precision)
    assert gate.flips == ()
    for name in ("segmentation", "detection", "rendering"):
        config = parse_config((repository / name / "config.pbtxt").read_text())
        assert (repository / name / "1" / config.default_model_filename).is_file()
        for warm_up in config.model_warmup:
            for sample in warm_up.inputs.values():
                if sample.input_data_file:
                    pixels = (repository / name / "warmup" / sample.input_data_file).stat().st_size
                    needed = 1
                    for dim in sample.dims:
                        needed *= dim
                    assert pixels >= needed


@pytest.mark.parametrize(
    ("kind", "options", "reason"),
    [
        (
            TensorrtOptions,
            {"precision": Precision.BF16},
            "one of fp16, fp32, int8 for target tensorrt",
        ),
        (OpenvinoOptions, {"precision": Precision.FP16}, "one of fp32, bf16 for target openvino"),
        (TensorrtOptions, {"batches": (8, 1)}, "rising batch sizes"),
        (TensorrtOptions, {"batches": ()}, "rising batch sizes"),
        (TensorrtOptions, {"instances": 0}, "1 instance or more"),
        (OnnxruntimeOptions, {"gpu": False, "accelerator": True}, "belongs to target onnxruntime"),
        (OnnxruntimeOptions, {"keep_fp32": ("conv",)}, "precision is fp32: give --precision fp16"),
    ],
)
def test_impossible_options_are_refused(
    kind: type[BackendOptions], options: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SpecError, match=reason):
        kind(**options)
