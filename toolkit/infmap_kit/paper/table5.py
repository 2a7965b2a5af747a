"""The paper's Table V: parameters and inference time of its 24 networks."""

from __future__ import annotations

import dataclasses

from infmap_kit import paper
from infmap_kit.model.spec import NetworkSpec

MACHINE = "NVIDIA GeForce RTX 2080 Ti"
"""The machine on which the paper's times were measured (III-A)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table5Row:
    """One row of Table V.

    Parameters
    ----------
    network
        Network of the row.
    trainable_as_printed, non_trainable_as_printed
        Parameter counts as the paper rounds them, such as ``12.06M``.
    time_ms
        Inference time of one sample on the paper's GPU, in milliseconds.
    trainable, non_trainable
        The exact counts of the networks here.
    """

    network: NetworkSpec
    trainable_as_printed: str
    non_trainable_as_printed: str
    time_ms: float
    trainable: int
    non_trainable: int


def table5_rows() -> list[Table5Row]:
    """Table V, in the paper's order."""
    return [
        Table5Row(
            network=paper.network_of(row),
            trainable_as_printed=row["trainable_as_printed"],
            non_trainable_as_printed=row["non_trainable_as_printed"],
            time_ms=float(row["time_ms"]),
            trainable=int(row["trainable_reproduced"]),
            non_trainable=int(row["non_trainable_reproduced"]),
        )
        for row in paper.rows(paper.COMPLEXITY)
    ]
