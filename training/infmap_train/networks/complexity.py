"""Sizes of the 24 networks and of the edge network: parameters and multiplications, counted on them built."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from infmap_kit.model.spec import EDGE, Encoder, NetworkSpec
from infmap_kit.paper.table5 import Table5Row, table5_rows
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
        math.prod(layer.output_shape[1:3]) * math.prod(layer.weights[0].shape)
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D)
    )


def network_rows(*, progress: Progress = no_progress) -> list[dict[str, Any]]:
    """List the paper's 24 networks with their counts and Table V's, and behind them the edge network.

    Returns
    -------
    list
        A row a network, JSON-ready; ``table5`` is ``None`` for the edge network, frozen and not, which the
        paper does not have.
    """
    printed: dict[NetworkSpec, Table5Row | None] = {row.network: row for row in table5_rows()}
    printed |= dict.fromkeys((EDGE, dataclasses.replace(EDGE, encoder_frozen=True)))
    counted = complexities(list(printed), progress=progress)
    return [
        {
            **dataclasses.asdict(network),
            "trainable": counts.trainable,
            "non_trainable": counts.non_trainable,
            "gmac": round(counts.gmac, 3),
            "table5": row
            and {
                "trainable": row.trainable_as_printed,
                "non_trainable": row.non_trainable_as_printed,
                "time_ms": row.time_ms,
            },
        }
        for (network, row), counts in zip(printed.items(), counted, strict=True)
    ]


def network_tables(rows: Sequence[dict[str, Any]]) -> list[Table]:
    """Show the rows of ``network_rows``: a table of the paper's, and one of what is outside of it."""
    headings = ("network", "encoder", "trainable", "non-trainable", "GMAC at 224")
    ours: dict[bool, list[tuple[str, ...]]] = {True: [], False: []}
    for row in rows:
        printed = row["table5"]
        counts = [f"{row[name]:,}" for name in ("trainable", "non_trainable")]
        if printed:
            theirs = (printed["trainable"], printed["non_trainable"])
            counts = [f"{own} ({other})" for own, other in zip(counts, theirs, strict=True)]
        ours[bool(printed)].append(
            (
                f"{row['architecture']} {row['encoder']}",
                "frozen" if row["encoder_frozen"] else "trained",
                *counts,
                f"{row['gmac']:.2f}",
                *([f"{printed['time_ms']:.2f}"] if printed else []),
            )
        )
    return [
        Table(
            "The 24 networks; in brackets the paper's Table V, timed on another machine",
            (*headings, "paper's ms"),
            ours[True],
        ),
        Table("The edge network, which is not in the paper", headings, ours[False]),
    ]
