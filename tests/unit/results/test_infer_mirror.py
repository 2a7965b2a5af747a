"""`infer --mirror` against the network itself, asked about both images, and scikit-learn's F1."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
from sklearn.metrics import f1_score

from familiar_network import chests, familiar_network, noise
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.results.folder import ResultOptions
from infmap_kit.results.infer import InferenceRun
from infmap_kit.results.tables import findings_table
from infmap_kit.serving.in_process import open_repository
from infmap_kit.targets.embedded import EmbeddedOptions
from small_network import small_run


def test_the_agreement_is_the_dice_of_both_masks(tmp_path: Path) -> None:
    network = familiar_network()
    publish(
        read_source(small_run(tmp_path / "run", network)),
        tmp_path / "r",
        EmbeddedOptions(),
        pictures=synthetic_pictures()[:1],
    )
    pictures = {
        "chest": chests(1)[0],
        "noise": noise() // 2 + 70,
        "dark": np.tile(np.arange(224, dtype=np.uint8) // 3, (224, 1)),
    }
    files = [tmp_path / f"{name}.png" for name in pictures]
    for file, picture in zip(files, pictures.values(), strict=True):
        cv2.imwrite(str(file), picture)
    session = onnxruntime.InferenceSession(network.SerializeToString())
    with open_repository(tmp_path / "r") as model:
        plain = list(InferenceRun(files, tmp_path / "out", model))
        options = ResultOptions(mirrored=True)
        asked = list(InferenceRun(files, tmp_path / "out", model, options=options))
    assert not any(outcome.kept for outcome in asked), "another question, other results"
    agreements = []
    for picture, before, outcome in zip(pictures.values(), plain, asked, strict=True):
        assert outcome.json_path is not None
        written = json.loads(outcome.json_path.read_text())
        masks = [
            session.run(None, {"IMAGE": np.ascontiguousarray(one)[np.newaxis]})[0][0] >= 0.5
            for one in (picture, picture[:, ::-1])
        ]
        expected = f1_score(masks[0].ravel(), masks[1][:, ::-1].ravel(), zero_division=1)
        assert written["mirror_agreement"] == pytest.approx(expected, abs=1e-3)
        assert "mirror_agreement" not in before.document
        assert written["detected"] == before.document["detected"]
        agreements.append(written["mirror_agreement"])
    assert agreements[2] == 1, "no mask in either"
    assert min(agreements[:2]) < 1, "masks that are always alike prove nothing"
    cells = [row[-1] for row in findings_table(asked).rows]
    assert cells == [f"{agreement:.2f}" for agreement in agreements]
