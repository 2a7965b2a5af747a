"""Lungs beside the infection: published, proved, verified, bundled, and refused where they do not belong."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from commands import run_command
from infmap_kit.answer.answer import Answer, lungs_of
from infmap_kit.answer.severity import Grades
from infmap_kit.errors import BundleError, ExportError, GateFailed
from infmap_kit.gate.comparison import GateReport, compare
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.gate.report import gate_table, markdown
from infmap_kit.gate.runners import EngineRunner, Runner
from infmap_kit.host.inspection import inspect
from infmap_kit.model.paint import Paint
from infmap_kit.model.precision import Precision
from infmap_kit.release.bundle import read_bundle, write_bundle
from infmap_kit.release.export import publish
from infmap_kit.release.install import install_bundle
from infmap_kit.release.origin import read_origin
from infmap_kit.release.publish import graphs_of, reference_runner
from infmap_kit.release.source import Source, read_source, with_parts
from infmap_kit.release.verify import compare_repository
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions
from infmap_kit.targets.openvino import OpenvinoOptions
from infmap_kit.targets.target import TargetOptions
from infmap_kit.triton.config import parse_config
from infmap_kit.triton.releases import roll_back
from infmap_kit.triton.repository import check_repository
from small_network import small_lung_run, small_lungs, small_run

PICTURES = synthetic_pictures()[:3]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return small_run(tmp_path / "run")


@pytest.fixture
def lung_run(tmp_path: Path) -> Path:
    return small_lung_run(tmp_path / "lungs")


@pytest.fixture
def source(run: Path, lung_run: Path) -> Source:
    return with_parts(read_source(run), {"lungs": lung_run}, settings={"grades": "0,10,30"})


@pytest.mark.parametrize(
    "options",
    [
        EmbeddedOptions(),
        OnnxruntimeOptions(batches=(1, 2)),
        OnnxruntimeOptions(precision=Precision.FP16, batches=(1,)),
        OpenvinoOptions(batches=(1,)),
    ],
    ids=lambda options: f"{getattr(options, 'target', 'embedded')}-{options.precision}",
)
def test_every_target_publishes_and_verifies_lungs(
    source: Source, tmp_path: Path, options: TargetOptions
) -> None:
    clipped = dataclasses.replace(source, paint=Paint(paint_in="lungs"))
    manifest, gate = publish(clipped, tmp_path / "r", options, pictures=PICTURES)
    assert check_repository(tmp_path / "r") == manifest
    assert manifest.model["lungs"]["name"] == "small lungs"
    assert manifest.model["lungs"]["grades"] == "0,10,30"
    assert manifest.gate["lungs"]["dice"] > 0.999
    assert all(one.parts["lungs"].reference_pixels > 500 for one in gate.pictures)
    config = parse_config((tmp_path / "r" / "infmap" / "config.pbtxt").read_text())
    assert config.parameters["grades"].string_value == "0,10,30"
    assert (
        config.parameters["lungs_onnx_sha256"].string_value
        == (source.identity["lungs"]["onnx_sha256"])
    )
    assert [output.name for output in config.output][7:] == [
        *("LUNGS", "LUNG_SEVERITY", "ZONE_SEVERITY", "SEVERITY_OF_LUNGS", "SEVERITY_AT")
    ]
    again = compare_repository(
        source, tmp_path / "r", reference=reference_runner(source), pictures=PICTURES
    )
    again.require()
    assert again.summary()["lungs"] == gate.summary()["lungs"]


def test_int8_quantises_both_networks(source: Source, tmp_path: Path) -> None:
    pytest.importorskip("nncf", reason="needs infmap-kit[int8]")
    options = EmbeddedOptions(precision=Precision.INT8)
    manifest, gate = publish(source, tmp_path / "r", options, pictures=PICTURES)
    gate.require()
    assert set(manifest.model) >= {"int8", "lung_int8", "lung_convolutions_by_type"}
    for name in ("segmentation", "lung_segmentation"):
        assert (tmp_path / "r" / "infmap" / "1" / f"{name}.xml").is_file()


def test_releases_with_and_without_lungs_follow_each_other(
    source: Source, run: Path, tmp_path: Path
) -> None:
    repository = tmp_path / "r"
    options = OpenvinoOptions(batches=(1,))
    publish(read_source(run), repository, options, pictures=PICTURES)
    publish(source, repository, options, pictures=PICTURES)
    assert (repository / "lung_segmentation" / "2" / "model.onnx").is_file()
    assert "lungs" not in roll_back(repository).model
    assert not (repository / "lung_segmentation").exists()
    assert "lungs" in roll_back(repository, 2).model
    assert check_repository(repository).model["lungs"]["version"] == "7"
    document = inspect(repository)
    assert document["whole"]
    assert document["model"]["lungs"]["grades"] == "0,10,30"


def test_a_lung_run_is_no_infection_run(run: Path, lung_run: Path) -> None:
    with pytest.raises(ExportError, match="is a network of the lungs.*--lungs"):
        read_source(lung_run)
    with pytest.raises(ExportError, match="was trained on infection, and --lungs takes"):
        with_parts(read_source(run), {"lungs": run})
    with pytest.raises(ExportError, match="expected the run folder of a lung network"):
        with_parts(read_source(run), {"lungs": run / "segmentation.onnx"})
    with pytest.raises(ExportError, match="--grades are of the severity of the lungs"):
        with_parts(read_source(run), settings={"grades": "0,25,50"})


def test_a_lung_graph_of_another_run_is_refused(run: Path, lung_run: Path) -> None:
    onnx.save(small_lungs(bias=7.0), lung_run / "segmentation.onnx")
    with pytest.raises(ExportError, match="SHA-256 differs"):
        with_parts(read_source(run), {"lungs": lung_run})


def test_verify_names_lungs_that_are_missing_or_others(
    source: Source, run: Path, tmp_path: Path
) -> None:
    alone = read_source(run)
    other = small_lung_run(tmp_path / "other", small_lungs(bias=7.4))
    publish(source, tmp_path / "with", EmbeddedOptions(), pictures=PICTURES)
    publish(alone, tmp_path / "without", EmbeddedOptions(), pictures=PICTURES)
    for asked, folder, reason in (
        (alone, "with", "serves other lungs: expected the graph none.*give its run as --lungs"),
        (source, "without", "found none; leave --lungs out"),
        (with_parts(alone, {"lungs": other}), "with", "give its run as --lungs"),
    ):
        with pytest.raises(GateFailed, match=reason):
            compare_repository(
                asked, tmp_path / folder, reference=reference_runner(asked), pictures=PICTURES
            )


# The gate: what each fault of the lungs is stopped by.


class _Bent:
    """A reference of which something is bent."""

    def __init__(self, runner: Runner, bend: Callable[[Answer], Answer]) -> None:
        self._runner, self._bend = runner, bend

    def predict(self, name: str, picture: NDArray[np.uint8]) -> Answer:
        return self._bend(self._runner.predict(name, picture))


def _bent(source: Source, bend: Callable[[Answer], Answer]) -> GateReport:
    runner = reference_runner(source)
    return compare(runner, _Bent(runner, bend), PICTURES)


def test_shifted_lungs_fail_by_their_dice(source: Source, tmp_path: Path) -> None:
    other = with_parts(source, {"lungs": small_lung_run(tmp_path / "other", small_lungs(bias=7.0))})
    gate = compare(reference_runner(source), reference_runner(other), PICTURES)
    with pytest.raises(GateFailed, match=r"lungs with Dice of at least 0\.999"):
        gate.require()
    assert "Dice of the lungs" in markdown(gate)
    assert len(gate_table(gate).rows) == 10
    assert gate.flips == ()


def test_a_swap_of_the_sides_is_seen(source: Source) -> None:
    def swapped(answer: Answer) -> Answer:
        lungs = lungs_of(answer)
        if lungs is None:
            raise AssertionError("lungs are served")
        other = dataclasses.replace(lungs, lungs=lungs.lungs[::-1].copy())
        return dataclasses.replace(answer, parts={"lungs": other})

    with pytest.raises(GateFailed, match="not what the engine's own masks give on synthetic-0"):
        _bent(source, swapped).require()


def test_lungs_that_one_of_the_two_does_not_know_are_seen(source: Source) -> None:
    def forgotten(answer: Answer) -> Answer:
        return dataclasses.replace(answer, parts={})

    with pytest.raises(GateFailed, match=r"lungs with Dice.*found 0\.0"):
        _bent(source, forgotten).require()


def test_another_midline_in_the_served_graph_is_seen(source: Source) -> None:
    """A detection graph whose sides part elsewhere gives other figures for the same masks."""
    graphs = graphs_of(source)
    moved = onnx.ModelProto()
    moved.CopyFrom(graphs["detection"])
    for tensor in moved.graph.initializer:
        if tensor.name == "rank":
            rank = np.full(224, 1e6, np.float32)
            rank[80] = 0
            tensor.CopyFrom(numpy_helper.from_array(rank, "rank"))
    engines = {
        name: OnnxRuntimeEngine(graph.SerializeToString())
        for name, graph in {**graphs, "detection": moved}.items()
    }
    engine = EngineRunner(engines, source.contract)
    with pytest.raises(GateFailed, match="severity of the lungs is not what the engine's own"):
        compare(reference_runner(source), engine, PICTURES).require()


# Bundles.


def test_a_bundle_brings_its_lungs(run: Path, lung_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "b"
    record = write_bundle(
        run, path, pictures=PICTURES, parts={"lungs": lung_run}, settings={"grades": "0,10,30"}
    )
    assert record["lungs"]["grades"] == "0,10,30"
    assert (
        write_bundle(
            run,
            tmp_path / "again",
            pictures=PICTURES,
            parts={"lungs": lung_run},
            settings={"grades": "0,10,30"},
        )
        == record
    )
    assert path.read_bytes() == (tmp_path / "again").read_bytes()
    bundle = read_bundle(path)
    assert bundle.source.contract.parts == ("lungs",)
    runner = reference_runner(with_parts(read_source(run), {"lungs": lung_run}))
    for (name, picture), (_, original) in zip(bundle.pictures, PICTURES, strict=True):
        actual, expected = bundle.reference.predict(name, picture), runner.predict("", original)
        recorded, known = lungs_of(actual), lungs_of(expected)
        if recorded is None or known is None:
            raise AssertionError("the bundle has lungs")
        np.testing.assert_array_equal(recorded.mask, known.mask)
        np.testing.assert_array_equal(recorded.zones, known.zones)
    assert inspect(path)["lungs"]["name"] == "small lungs"
    manifest, gate = install_bundle(path, tmp_path / "r", EmbeddedOptions(), unsigned=True)
    gate.require()
    assert manifest.model["lungs"] == bundle.source.identity["lungs"]
    assert Grades.parse(manifest.model["lungs"]["grades"]) == Grades(0, 10, 30)
    compare_repository(
        bundle.source, tmp_path / "r", reference=bundle.reference, pictures=bundle.pictures
    ).require()


def test_a_bundle_without_lungs_is_as_it_was(run: Path, tmp_path: Path) -> None:
    record = write_bundle(run, tmp_path / "b", pictures=PICTURES)
    assert not {"lungs", "temperature"} & record.keys()
    assert not any(name.startswith("lungs/") for name in record["files"])


def test_a_bundle_takes_no_second_lungs(run: Path, lung_run: Path, tmp_path: Path) -> None:
    write_bundle(run, tmp_path / "b", pictures=PICTURES, parts={"lungs": lung_run})
    with pytest.raises(BundleError, match="leave --lungs out"):
        read_origin(tmp_path / "b", parts={"lungs": lung_run})


def _infmap_kit(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run_command("infmap-kit", *arguments)


def test_the_command_line_takes_lungs(run: Path, lung_run: Path, tmp_path: Path) -> None:
    where = ("-r", tmp_path / "r", "--report", tmp_path / "report", "--json")
    done = _infmap_kit(
        *("export", run, "--lungs", lung_run, "--grades", "5,20,40", "--target", "embedded"), *where
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["manifest"]["model"]["lungs"]["grades"] == "5,20,40"
    verified = _infmap_kit("verify", run, *where, "--lungs", lung_run)
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["lungs"]["dice"] > 0.999
