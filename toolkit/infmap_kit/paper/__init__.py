"""The paper's tables as data; README.md says where they are from and what they hold."""

from __future__ import annotations

import csv
from importlib.resources import files

from infmap_kit.model.spec import Architecture, Encoder, NetworkSpec, member

SEGMENTATION = "table1_segmentation.csv"
COUNTS = "table2_counts.csv"
DETECTION = "table3_detection.csv"
CONFUSION = "table4_confusion.csv"
COMPLEXITY = "table5_complexity.csv"


def rows(table: str) -> list[dict[str, str]]:
    """All rows of a table, as text, by column."""
    return list(csv.DictReader((files(__name__) / table).read_text(encoding="utf-8").splitlines()))


def network_of(row: dict[str, str]) -> NetworkSpec:
    """The network of a row of Table I, III, IV or V."""
    return NetworkSpec(
        architecture=member(Architecture, row["architecture"]),
        encoder=member(Encoder, row["encoder"]),
        encoder_frozen=row["encoder_frozen"] == "true",
    )


def row_of(table: str, network: NetworkSpec) -> dict[str, str] | None:
    """Find a network's row; Table IV has two networks only."""
    return next((row for row in rows(table) if network_of(row) == network), None)
