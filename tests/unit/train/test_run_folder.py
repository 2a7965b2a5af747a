from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

import onnx
import onnxruntime

from infmap_kit.errors import SpecError
from infmap_kit.model.files import sha256_of
from infmap_kit.model.spec import Anatomy, ModelSpec
from infmap_kit.release.source import read_source
from infmap_train import run_folder
from infmap_train.data import dataset as data
from infmap_train.evaluation.calibrate import calibrate_run
from infmap_train.evaluation.evaluate import evaluate, predict
from infmap_train.evaluation.metrics import Confusion, pixel_confusion
from infmap_train.studies.predictions import explain_run
from script_modules import load_script
from train.conftest import NETWORK, OPTIONS, write_data

pytestmark = pytest.mark.train


def test_the_record_says_what_the_run_is(finished_run: Path, pictures: data.Pictures) -> None:
    spec = run_folder.read(finished_run)
    assert spec.network == NETWORK
    assert spec.dataset_fingerprint == pictures.fingerprint()
    assert spec.data_licence == "invented"
    assert spec.training["epochs"] == OPTIONS.epochs
    assert {"tensorflow", "segmentation-models", "tf2onnx", "infmap-kit"} <= set(
        spec.training["versions"]
    )
    assert spec.metrics == json.loads((finished_run / "metrics.json").read_text())


def test_every_file_is_recorded_and_nothing_is_left_beside(finished_run: Path) -> None:
    spec = run_folder.read(finished_run)
    found = {
        str(path.relative_to(finished_run)) for path in finished_run.rglob("*") if path.is_file()
    }
    events = {name for name in found if name.startswith("tensorboard/")}
    assert events
    found -= events
    assert found == {*spec.files, "spec.json", "state.json"}
    assert all(sha256_of(finished_run / name) == sha for name, sha in spec.files.items())
    assert {"plots/history.png", "plots/precision_recall.png", "plots/dice.png"} <= found


def test_history_has_one_row_an_epoch(finished_run: Path) -> None:
    with (finished_run / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["loss"]) > 0


def test_graph_and_weights_answer_alike_and_as_reported(
    finished_run: Path, pictures: data.Pictures
) -> None:
    model, spec = run_folder.load_network(finished_run)
    held_back = run_folder.held_back_names(finished_run)
    chosen = pictures.take([r for r, s in enumerate(pictures.samples) if s.name in held_back])
    probability = predict(model, spec.network.encoder, chosen.images)
    session = onnxruntime.InferenceSession(finished_run / "segmentation.onnx")
    (served,) = session.run(["PROBABILITY"], {"IMAGE": chosen.images})
    assert np.abs(served - probability).max() < 1e-4
    assert pixel_confusion(chosen.masks, served) == Confusion.from_dict(spec.metrics["pixels"])


def test_the_graphs_tensors_are_the_contracts(finished_run: Path) -> None:
    graph = onnx.load(finished_run / "segmentation.onnx")
    onnx.checker.check_model(graph, full_check=True)
    described = [
        (
            tensor.name,
            tensor.type.tensor_type.elem_type,
            [d.dim_param or d.dim_value for d in tensor.type.tensor_type.shape.dim],
        )
        for tensor in (*graph.graph.input, *graph.graph.output)
    ]
    assert described == [
        ("IMAGE", onnx.TensorProto.UINT8, ["N", 224, 224]),
        ("PROBABILITY", onnx.TensorProto.FLOAT, ["N", 224, 224]),
    ]
    assert [o.version for o in graph.opset_import if not o.domain] == [18]
    # ONNX gave up, and TensorRT refuses, how TensorFlow names its nearest pixels.
    values = {a.s for n in graph.graph.node if n.op_type == "Resize" for a in n.attribute}
    assert b"asymmetric" in values
    assert b"tf_half_pixel_for_nn" not in values


def test_a_changed_or_missing_file_is_named(finished_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(finished_run, copy)
    with (copy / "model.weights.h5").open("r+b") as file:
        file.seek(5000)
        file.write(b"\x55")
    with pytest.raises(SpecError, match=r"model\.weights\.h5.*SHA-256"):
        run_folder.load_network(copy)
    (copy / "segmentation.onnx").unlink()
    (copy / "model.weights.h5").unlink()
    with pytest.raises(SpecError, match="missing"):
        run_folder.read(copy)


def test_an_unfinished_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="not a finished run"):
        run_folder.load_network(tmp_path)


def test_evaluation_repeats_the_reported_figures(
    finished_run: Path, pictures: data.Pictures
) -> None:
    folder = pictures.samples[0].image.parent.parent
    again = evaluate(finished_run, folder)
    before = run_folder.read(finished_run).metrics
    assert again.report["pixels"]["true_positive"] == before["pixels"]["true_positive"]
    assert len(again.pictures.samples) == 16
    assert len(evaluate(finished_run, folder, everything=True).pictures.samples) == 32


def _graph_alone(run: Path, copy: Path) -> Path:
    """A run as it is passed on: its graph, and no weights."""
    shutil.copytree(run, copy)
    (copy / run_folder.WEIGHTS).unlink()
    spec = ModelSpec.read(copy / "spec.json")
    files = {name: sha for name, sha in spec.files.items() if name != run_folder.WEIGHTS}
    dataclasses.replace(spec, files=files).write(copy / "spec.json")
    return copy


def test_a_run_with_its_graph_alone_is_measured_and_not_trained(
    finished_run: Path, pictures: data.Pictures, tmp_path: Path
) -> None:
    graph = _graph_alone(finished_run, tmp_path / "graph")
    folder = pictures.samples[0].image.parent.parent
    by_graph, by_weights = (evaluate(run, folder) for run in (graph, finished_run))
    np.testing.assert_allclose(by_graph.probability, by_weights.probability, atol=1e-4)
    with pytest.raises(SpecError, match=r"graph and no model\.weights\.h5.*need no weights"):
        run_folder.require_start(graph, NETWORK)
    with pytest.raises(SpecError, match=r"graph and no model\.weights\.h5"):
        run_folder.load_network(graph)


@pytest.mark.slow
def test_a_classifier_with_its_graph_alone_looks_where_its_gradients_do(
    classifier_run: Path, pictures: data.Pictures, tmp_path: Path
) -> None:
    graph = _graph_alone(classifier_run, tmp_path / "graph")
    images = pictures.images[:4]
    for by_graph, by_weights in zip(
        *(explain_run(run, images) for run in (graph, classifier_run)), strict=True
    ):
        np.testing.assert_allclose(by_graph, by_weights, atol=1e-3)


def test_a_packed_run_is_the_run_at_half_the_size(
    finished_run: Path, pictures: data.Pictures, tmp_path: Path
) -> None:
    """What scripts/pack_demo_model.py makes is whole, calibrated, and measured on its own graph."""
    run, packed = shutil.copytree(finished_run, tmp_path / "run"), tmp_path / "packed"
    folder = pictures.samples[0].image.parent.parent
    calibrate_run(run, folder)
    packed.mkdir()
    load_script("pack_demo_model").main(run, folder, packed)
    spec = run_folder.read(packed)
    assert set(spec.files) == {path.name for path in packed.iterdir()} - {"spec.json"}
    assert all(sha256_of(packed / name) == sha for name, sha in spec.files.items())
    assert read_source(packed).identity["temperature"] == read_source(run).identity["temperature"]
    graphs = [folder / "segmentation.onnx" for folder in (packed, run)]
    assert graphs[0].stat().st_size < 0.6 * graphs[1].stat().st_size
    assert spec.metrics["pixels"]["f1"] == pytest.approx(
        run_folder.read(run).metrics["pixels"]["f1"], abs=0.01
    )


def test_the_demo_model_asks_for_all_pictures_and_answers_by_its_graph(
    pictures: data.Pictures, tmp_path: Path
) -> None:
    demo = Path(__file__).parents[3] / "training" / "demo_model"
    few = write_data(tmp_path / "few", covid=2, normal=2)
    with pytest.raises(SpecError, match=r"split\.json.*pass --all"):
        evaluate(demo, few)
    evaluation = evaluate(demo, few, everything=True)
    assert evaluation.report["images"] == {"covid": 2, "normal": 2}
    assert 0 <= evaluation.probability.min() <= evaluation.probability.max() <= 1


def test_a_lung_run_says_so_and_holds_back_the_same_patients(
    finished_run: Path, lung_run: Path, pictures: data.Pictures
) -> None:
    spec = run_folder.read(lung_run)
    assert spec.training["anatomy"] == spec.anatomy == "lungs"
    assert "lungs" in spec.name
    assert "detection" not in spec.metrics
    lungs = {s.name for s in pictures.samples if s.lung_mask}
    held_back = run_folder.held_back_names(lung_run)
    assert held_back == run_folder.held_back_names(finished_run) & lungs
    assert held_back < run_folder.held_back_names(finished_run)
    folder = pictures.samples[0].image.parent.parent
    again = evaluate(lung_run, folder)
    # To the pixel, though it was trained in bfloat16 and the files are FP32.
    assert spec.training["computed_in"] == "mixed_bfloat16"
    assert again.report["pixels"] == spec.metrics["pixels"]
    assert len(evaluate(lung_run, folder, everything=True).pictures.samples) == len(lungs)


def test_the_lung_network_that_was_trained_under_another_word_says_its_anatomy() -> None:
    spec = ModelSpec.read(Path(__file__).parents[3] / "training" / "demo_lungs" / "spec.json")
    assert spec.anatomy is Anatomy.LUNGS
    spec.training.pop("anatomy", None)
    spec.training["target"] = "lungs"
    assert spec.anatomy is Anatomy.LUNGS


def test_a_run_of_before_there_was_a_choice_is_of_the_infection(finished_run: Path) -> None:
    spec = run_folder.read(finished_run)
    del spec.training["anatomy"]
    assert spec.anatomy == "infection"
