"""A network proposes masks only for what it has never seen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from doctors import HEIGHT, WIDTH, Site, decoded, new_study, write_pictures
from infmap_annotate.study.collection import init_study
from infmap_annotate.study.folder import Study
from infmap_annotate.study.masks import decode_mask
from infmap_annotate.study.predict import native_mask, predict_by_runs
from infmap_kit.errors import InfmapError, StudyError

MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path, demo_model: Path) -> MakeRun:
    """A run folder of the demo model's spec: ``make_run("fold-1", train=[...], held_back=[...])``."""

    def make(name: str, *, train: Iterable[str] = (), held_back: Iterable[str] = ()) -> Path:
        run = tmp_path / "runs" / name
        shutil.copytree(demo_model, run)
        split = {"train": list(train), "held_back": list(held_back)}
        (run / "split.json").write_text(json.dumps(split))
        return run

    return make


class Fake:
    """Networks that mark one column each, by the number in the run's name."""

    def __call__(self, folder: Path) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
        number = int(folder.name[-1])

        def network(images: NDArray[np.uint8]) -> NDArray[np.float32]:
            assert images.shape[1:] == (224, 224)
            answer = np.zeros(images.shape, np.float32)
            answer[:, :, 40 * number : 40 * number + 40] = 0.9
            return answer

        return network


def _names(study: Study) -> list[str]:
    return [p.name for p in study.pictures()]


def test_each_radiograph_is_predicted_by_the_fold_that_held_it_back(
    tmp_path: Path, make_run: MakeRun
) -> None:
    study, _ = new_study(tmp_path, drawn=5, models=[])
    names = _names(study)
    for fold in range(5):
        make_run(
            f"fold-{fold}", train=[n for n in names if n != names[fold]], held_back=[names[fold]]
        )
    assert predict_by_runs(study, "unet", 1, [tmp_path / "runs"], load=Fake()) == 5
    for fold, picture in enumerate(study.pictures()):
        mask = study.candidates()[picture.id][-1]
        pixels = decode_mask((study.folder / "masks" / mask.file).read_bytes())
        assert pixels.shape == (HEIGHT, WIDTH)
        centre = int((40 * fold + 20) / 224 * WIDTH)
        assert pixels[:, centre].all()
        assert not pixels[:, (centre + WIDTH // 2) % WIDTH].any()
    (record,) = study.database.reading().execute("SELECT record FROM model").fetchone()
    runs = json.loads(record)["runs"]
    assert [(run["run"], run["predicted"], run["held_back"]) for run in runs] == [
        (f"fold-{fold}", 1, 1) for fold in range(5)
    ]


def test_what_every_run_trained_on_is_refused_by_name(tmp_path: Path, make_run: MakeRun) -> None:
    study, _ = new_study(tmp_path, drawn=4, models=[])
    names = _names(study)
    make_run("fold-0", train=names[1:], held_back=names[:1])
    make_run("fold-1", train=names[:1] + names[2:], held_back=names[1:2])
    with pytest.raises(StudyError, match="2 radiographs were trained on.*covid_2, covid_3"):
        predict_by_runs(study, "unet", 1, [tmp_path / "runs"], load=Fake())
    assert all(len(found) == 1 for found in study.candidates().values())


def test_another_picture_of_a_patient_trained_on_is_refused_too(
    tmp_path: Path, make_run: MakeRun
) -> None:
    data = write_pictures(tmp_path / "data", drawn=4, a_patient=2)
    init_study(tmp_path / "study", data, first=["anna"])
    run = make_run("run-0", train=["covid_0"], held_back=["covid_1", "covid_2", "covid_3"])
    with pytest.raises(StudyError, match="2 radiographs .*covid_0, covid_1"):
        predict_by_runs(Study(tmp_path / "study"), "unet", 1, [run], load=Fake())


def test_stage_two_is_predicted_by_a_run_on_the_picks(tmp_path: Path, make_run: MakeRun) -> None:
    study, _ = new_study(tmp_path, drawn=2, bare=3, models=[])
    run = make_run("run-1", train=["covid_0"], held_back=["covid_1"])
    assert predict_by_runs(study, "unet", 2, [run], load=Fake()) == 3
    assert sorted(study.candidates()) == [1, 2, 3, 4, 5]
    other = make_run("run-2", train=["covid_0"], held_back=["covid_1"])
    with pytest.raises(StudyError, match="give one run"):
        predict_by_runs(study, "second", 2, [run, other], load=Fake())


def test_a_model_that_comes_after_the_first_decision_is_refused(
    tmp_path: Path, make_run: MakeRun
) -> None:
    study, tokens = new_study(tmp_path, drawn=1)
    with Site(study, tokens).open() as site:
        site.enter("anna").decide("pick", 1)
    run = make_run("run-0", held_back=["covid_0"])
    with pytest.raises(StudyError, match="1 decisions were made in stage 1 without 'late'"):
        predict_by_runs(study, "late", 1, [run], load=Fake())


def test_a_run_that_segments_something_else_is_refused(tmp_path: Path, make_run: MakeRun) -> None:
    study, _ = new_study(tmp_path, drawn=1, models=[])
    run = make_run("run-0", held_back=["covid_0"])
    spec = json.loads((run / "spec.json").read_text())
    spec["training"]["anatomy"] = "lungs"
    (run / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(StudyError, match="segments infection, found lungs"):
        predict_by_runs(study, "unet", 1, [run], load=Fake())


def test_a_classifier_is_refused(tmp_path: Path, make_run: MakeRun) -> None:
    study, _ = new_study(tmp_path, drawn=1, models=[])
    run = make_run("run-0", held_back=["covid_0"])
    spec = json.loads((run / "spec.json").read_text())
    spec["network"] = {"encoder": "DenseNet-121", "encoder_frozen": False}
    (run / "spec.json").write_text(json.dumps(spec))
    with pytest.raises(StudyError, match="segments infection, found whole radiographs"):
        predict_by_runs(study, "unet", 1, [run], load=Fake())


def test_a_folder_without_a_finished_run_is_named(tmp_path: Path) -> None:
    study, _ = new_study(tmp_path, drawn=1, models=[])
    (tmp_path / "empty").mkdir()
    with pytest.raises(StudyError, match=r"empty is no finished run"):
        predict_by_runs(study, "unet", 1, [tmp_path / "empty"])


def test_a_run_whose_graph_was_changed_is_refused(tmp_path: Path, make_run: MakeRun) -> None:
    study, _ = new_study(tmp_path, drawn=1, models=[])
    run = make_run("run-0", held_back=["covid_0"])
    with (run / "segmentation.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(InfmapError, match="SHA-256"):
        predict_by_runs(study, "unet", 1, [run])


def test_the_demo_models_own_graph(tmp_path: Path, make_run: MakeRun) -> None:
    """Against ONNX Runtime asked by hand."""
    onnxruntime = pytest.importorskip("onnxruntime")
    study, _ = new_study(tmp_path, drawn=1, models=[])
    run = make_run("run-0", held_back=["covid_0"])
    predict_by_runs(study, "unet", 1, [run])
    (picture,) = study.pictures()
    image = decoded(study.image_path(picture).read_bytes())
    resized = cv2.resize(image, (224, 224), interpolation=cv2.INTER_AREA)
    session = onnxruntime.InferenceSession(str(run / "segmentation.onnx"))
    (probability,) = session.run(None, {session.get_inputs()[0].name: resized[None]})
    expected = cv2.resize(probability[0], (WIDTH, HEIGHT)) >= 0.5
    mask = study.candidates()[picture.id][-1]
    found = decode_mask((study.folder / "masks" / mask.file).read_bytes())
    assert (found == expected).mean() > 0.999


def test_a_mask_is_enlarged_by_its_probabilities() -> None:
    probability = np.zeros((224, 224), np.float32)
    probability[:, 112:] = 1
    mask = native_mask(probability, width=2240, height=300)
    assert mask.shape == (300, 2240)
    assert (mask == (np.arange(2240) >= 1120)).all()
