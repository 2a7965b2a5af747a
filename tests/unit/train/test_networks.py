from __future__ import annotations

import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

from infmap_kit.paper.table5 import table5_rows
from infmap_train.networks import complexity

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def counted() -> dict[str, complexity.Complexity]:
    networks = [row.network for row in table5_rows()]
    counts = complexity.complexities(networks)
    return {n.label: c for n, c in zip(networks, counts, strict=True)}


def test_there_are_24() -> None:
    assert len({row.network for row in table5_rows()}) == 24


@pytest.mark.parametrize("row", table5_rows(), ids=lambda row: row.network.label)
def test_parameters_are_table_5s(row, counted) -> None:  # type: ignore[no-untyped-def]
    found = counted[row.network.label]
    assert (found.trainable, found.non_trainable) == (row.trainable, row.non_trainable)


@pytest.mark.parametrize(
    ("label", "gmac"),
    [
        ("U-Net DenseNet-121, not frozen", 5.73),
        ("U-Net Inception-v3, frozen", 7.42),
        ("UNet++ DenseNet-121, not frozen", 24.65),
        ("DLA ResNet-50, not frozen", 25.03),
    ],
)
def test_multiplications(
    counted: dict[str, complexity.Complexity], label: str, gmac: float
) -> None:
    assert counted[label].gmac == pytest.approx(gmac, abs=0.006)
