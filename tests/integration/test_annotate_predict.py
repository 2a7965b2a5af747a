"""Masks for an annotation study from an engine that a real server runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from doctors import new_study
from infmap_annotate.study.folder import Study
from infmap_annotate.study.masks import decode_mask
from infmap_annotate.study.predict import predict_by_runs, predict_by_server
from infmap_kit.errors import ServerError, StudyError
from infmap_kit.triton.server.process import TritonServer


def _run(folder: Path, demo_model: Path, **split: list[str]) -> Path:
    shutil.copytree(demo_model, folder)
    (folder / "split.json").write_text(json.dumps({"train": [], "held_back": [], **split}))
    return folder


def _masks(study: Study, model: int) -> list[bytes]:
    return [
        (study.folder / "masks" / mask.file).read_bytes()
        for found in study.candidates().values() for mask in found if mask.model_id == model
    ]  # fmt: skip


def test_the_served_engine_proposes_what_its_run_does(
    server: TritonServer, demo_model: Path, tmp_path: Path
) -> None:
    study, _ = new_study(tmp_path, drawn=2, models=[])
    run = _run(tmp_path / "run", demo_model, held_back=["covid_0", "covid_1"])
    assert predict_by_server(study, "served", 1, server.grpc_url, [run]) == 2
    assert predict_by_server(study, "unproved", 1, server.grpc_url) == 2
    predict_by_runs(study, "by the run", 1, [run])
    for served, unproved, by_run in zip(
        *(_masks(study, model) for model in (1, 2, 3)), strict=True
    ):
        assert served == unproved
        assert (decode_mask(served) == decode_mask(by_run)).mean() > 0.999
    records = [
        json.loads(row["record"])
        for row in study.database.reading().execute("SELECT record FROM model ORDER BY id")
    ]
    assert records[0]["trained_on"] == 0
    assert records[1]["trained_on"] == "not known"


def test_what_the_served_engine_was_trained_on_is_refused(
    server: TritonServer, demo_model: Path, tmp_path: Path
) -> None:
    study, _ = new_study(tmp_path, drawn=2, models=[])
    run = _run(tmp_path / "run", demo_model, train=["covid_1"])
    with pytest.raises(StudyError, match="1 radiographs were trained on.*covid_1"):
        predict_by_server(study, "served", 1, server.grpc_url, [run])


def test_another_runs_engine_is_refused(
    server: TritonServer, demo_model: Path, tmp_path: Path
) -> None:
    study, _ = new_study(tmp_path, drawn=1, models=[])
    run = _run(tmp_path / "run", demo_model, held_back=["covid_0"])
    spec = json.loads((run / "spec.json").read_text())
    (run / "spec.json").write_text(json.dumps({**spec, "version": "another"}))
    with pytest.raises(StudyError, match="expected .* to serve another"):
        predict_by_server(study, "served", 1, server.grpc_url, [run])


def test_no_server_is_one_clear_error(tmp_path: Path) -> None:
    study, _ = new_study(tmp_path, drawn=1, models=[])
    with pytest.raises(ServerError, match="no server answers"):
        predict_by_server(study, "served", 1, "127.0.0.1:1")
