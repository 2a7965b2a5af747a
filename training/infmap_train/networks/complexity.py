"""Sizes of the 24 networks: parameters and multiplications, counted on the networks built."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from infmap_kit.model.spec import Encoder, NetworkSpec
from infmap_kit.paper.table5 import table5_rows
from infmap_kit.progress import Progress, no_progress
from infmap_kit.report.table import Table
from infmap_train.networks.segmentation import build_network, count_parameters, freeze_encoder

keras = tf.keras


@dataclasses.dataclass(frozen=True, kw_only=True)
class Complexity:
    """A network's size.

    Parameters
    ----------
    trainable, non_trainable
        Parameters, as the paper's Table V counts them.
    gmac
        Multiplications and additions of the convolutions for one picture of 224x224, in 1e9.
    """

    trainable: int
    non_trainable: int
    gmac: float


def complexities(
    networks: Sequence[NetworkSpec], *, progress: Progress = no_progress
) -> list[Complexity]:
    """Build networks and count.

    Those that differ in their initial weights or in what is frozen are built once.
    """
    counted: dict[NetworkSpec, Complexity] = {}
    for done, network in enumerate(networks, start=1):
        plain = _as_built(network)
        if plain not in counted:
            model = build_network(plain)
            counted[plain] = _count(model)
            freeze_encoder(model)
            counted[dataclasses.replace(plain, encoder_frozen=True)] = _count(model)
            keras.backend.clear_session()
        progress("networks", done, len(networks))
    return [
        counted[dataclasses.replace(_as_built(n), encoder_frozen=n.encoder_frozen)]
        for n in networks
    ]


def _as_built(network: NetworkSpec) -> NetworkSpec:
    chexnet = network.encoder is Encoder.CHEXNET
    return NetworkSpec(
        architecture=network.architecture,
        encoder=Encoder.DENSENET_121 if chexnet else network.encoder,
    )


def _count(model: Any) -> Complexity:
    trainable, non_trainable = count_parameters(model)
    return Complexity(
        trainable=trainable, non_trainable=non_trainable, gmac=count_macs(model) / 1e9
    )


def count_macs(model: Any) -> int:
    """Multiply-accumulates of a network's convolutions, for one picture."""
    return sum(
        # Each output position costs as many as the kernel has weights.
        math.prod(layer.output_shape[1:3]) * math.prod(layer.kernel.shape)
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    )


def network_rows(*, progress: Progress = no_progress) -> list[dict[str, Any]]:
    """List all 24 networks with their counts, and Table V's."""
    table = table5_rows()
    counted = complexities([row.network for row in table], progress=progress)
    return [
        {
            **dataclasses.asdict(row.network),
            "trainable": counts.trainable,
            "non_trainable": counts.non_trainable,
            "gmac": round(counts.gmac, 3),
            "table5": {
                "trainable": row.trainable_as_printed,
                "non_trainable": row.non_trainable_as_printed,
                "time_ms": row.time_ms,
            },
        }
        for row, counts in zip(table, counted, strict=True)
    ]


def network_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Show the rows of ``network_rows`` as a table."""
    return Table(
        "The 24 networks; in brackets the paper's Table V, timed on another machine",
        ("network", "encoder", "trainable", "non-trainable", "GMAC at 224", "paper's ms"),
        tuple(
            (
                f"{row['architecture']} {row['encoder']}",
                "frozen" if row["encoder_frozen"] else "trained",
                f"{row['trainable']:,} ({row['table5']['trainable']})",
                f"{row['non_trainable']:,} ({row['table5']['non_trainable']})",
                f"{row['gmac']:.2f}",
                f"{row['table5']['time_ms']:.2f}",
            )
            for row in rows
        ),
    )
