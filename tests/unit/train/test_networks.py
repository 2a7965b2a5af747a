from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

from infmap_kit.model.spec import EDGE, NetworkSpec
from infmap_kit.paper.table5 import table5_rows
from infmap_train.networks import complexity

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return complexity.network_rows()


@pytest.fixture(scope="module")
def counted(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    names = ("architecture", "encoder", "encoder_frozen")
    return {NetworkSpec(**{name: row[name] for name in names}).label: row for row in rows}


def test_there_are_24() -> None:
    assert len({row.network for row in table5_rows()}) == 24


@pytest.mark.parametrize("row", table5_rows(), ids=lambda row: row.network.label)
def test_parameters_are_table_5s(row, counted) -> None:  # type: ignore[no-untyped-def]
    found = counted[row.network.label]
    assert (found["trainable"], found["non_trainable"]) == (row.trainable, row.non_trainable)


@pytest.mark.parametrize(
    ("label", "gmac"),
    [
        ("U-Net DenseNet-121, not frozen", 5.73),
        ("U-Net Inception-v3, frozen", 7.42),
        ("UNet++ DenseNet-121, not frozen", 24.65),
        ("DLA ResNet-50, not frozen", 25.03),
    ],
)
def test_multiplications(counted: dict[str, dict[str, Any]], label: str, gmac: float) -> None:
    assert counted[label]["gmac"] == pytest.approx(gmac, abs=0.006)


def test_the_edge_network_is_small_and_stands_apart_from_the_24(rows: list[dict[str, Any]]) -> None:
    papers, beside = complexity.network_tables(rows)
    assert (len(papers.rows), len(beside.rows)) == (24, 2)
    assert "not in the paper" in beside.title
    trained, frozen = (row for row in rows if row["table5"] is None)
    assert (trained["encoder"], frozen["encoder"]) == (EDGE.encoder, EDGE.encoder)
    assert trained["gmac"] <= 0.9
    assert 2 * (trained["trainable"] + trained["non_trainable"]) <= 12e6, "bytes in FP16"
    assert frozen["trainable"] < trained["trainable"]
