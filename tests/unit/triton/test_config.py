"""config.pbtxt: valid for Triton, equal to the committed files, and the cure of server#7482 kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from infmap_kit.errors import SpecError
from infmap_kit.model.precision import Precision
from infmap_kit.parts.contract import ENSEMBLE, Contract
from infmap_kit.release.publish import graphs_of, serving_identity
from infmap_kit.release.source import read_source
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.targets.embedded_configs import ServedGraph, embedded_configs, served_graphs
from infmap_kit.triton.config import config_text, ensemble_config, parse_config

COMMITTED = Path(__file__).resolve().parents[3] / "model_repository"
NAMES = (ENSEMBLE.name,)


@pytest.mark.parametrize("name", NAMES)
def test_committed_configs_are_what_export_writes(name: str, demo_model: Path) -> None:
    """Made once by `infmap-kit export training/demo_model`; committed to be read and compared."""
    source = read_source(demo_model)
    identity = serving_identity(source, target="embedded", precision="fp32")
    made = embedded_configs(EmbeddedOptions(), identity, Contract.of_graphs(graphs_of(source)))[
        name
    ]
    committed = (COMMITTED / name / "config.pbtxt").read_text()
    assert parse_config(committed) == made
    assert committed == config_text(made)


@pytest.mark.parametrize("lungs", [False, True])
def test_no_exposed_tensor_is_consumed_by_a_step(lungs: bool) -> None:
    config = ensemble_config({}, Contract(("lungs",) if lungs else ()))
    exposed = {output.name for output in config.output}
    consumed = {
        tensor for step in config.ensemble_scheduling.step for tensor in step.input_map.values()
    }
    assert not exposed & consumed


@pytest.mark.parametrize("lungs", [False, True])
def test_the_prunable_step_that_reads_an_ensemble_input_stands_first(lungs: bool) -> None:
    """The lungs' step can be pruned and reads IMAGE, but IMAGE has the segmentation left: see config.py."""
    steps = ensemble_config({}, Contract(("lungs",) if lungs else ())).ensemble_scheduling.step
    assert steps[0].model_name == "rendering"
    alone = {name for step in steps for name in step.input_map if name.isupper()}
    readers = {name: [s.model_name for s in steps if name in s.input_map] for name in alone}
    assert readers["CANVAS"] == ["rendering"]
    assert readers["IMAGE"][0] == "segmentation"


def test_precision_reaches_the_segmentation_alone() -> None:
    options = EmbeddedOptions(precision=Precision.BF16, threads=2, instances=3)
    pipeline = embedded_configs(options, {})[ENSEMBLE.name]
    assert pipeline.instance_group[0].count == 3
    assert served_graphs(pipeline) == [
        ServedGraph(file="segmentation.onnx", precision="bf16", threads=2),
        ServedGraph(file="detection.onnx", precision="f32", threads=1),
        ServedGraph(file="rendering.onnx", precision="f32", threads=2),
    ]


def test_the_network_of_the_lungs_runs_as_the_other_does() -> None:
    options = EmbeddedOptions(precision=Precision.INT8, threads=2)
    pipeline = embedded_configs(options, {}, Contract(("lungs",)))[ENSEMBLE.name]
    assert served_graphs(pipeline) == [
        ServedGraph(file="segmentation.xml", precision="f32", threads=2),
        ServedGraph(file="lung_segmentation.xml", precision="f32", threads=2),
        ServedGraph(file="detection.onnx", precision="f32", threads=1),
        ServedGraph(file="rendering.onnx", precision="f32", threads=2),
    ]


def test_int8_is_a_file_of_its_own() -> None:
    pipeline = embedded_configs(EmbeddedOptions(precision=Precision.INT8), {})[ENSEMBLE.name]
    assert served_graphs(pipeline)[0].file == "segmentation.xml"


@pytest.mark.parametrize("lungs", [False, True])
def test_the_joined_model_keeps_the_contract(lungs: bool) -> None:
    """Whoever asks cannot tell whether one model answers or three."""
    identity, contract = {"model_name": "mine"}, Contract(("lungs",) if lungs else ())
    (joined,) = embedded_configs(EmbeddedOptions(), identity, contract).values()
    three = ensemble_config(identity, contract)
    assert (joined.name, joined.input, joined.output) == (three.name, three.input, three.output)
    assert joined.parameters["model_name"] == three.parameters["model_name"]


def test_a_config_that_names_no_graphs_is_said() -> None:
    with pytest.raises(SpecError, match="which graphs"):
        served_graphs(ensemble_config({}))


def test_a_broken_config_is_said() -> None:
    with pytest.raises(SpecError, match="not a Triton model config"):
        parse_config("name: 'x' no_such_field: 1")


def test_impossible_options_are_refused() -> None:
    with pytest.raises(SpecError, match="threads of 0"):
        EmbeddedOptions(threads=-1)
    with pytest.raises(SpecError, match="at least one instance"):
        EmbeddedOptions(instances=0)
