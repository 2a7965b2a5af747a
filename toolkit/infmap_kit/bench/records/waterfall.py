"""The stages of a file on its way to the map."""

from __future__ import annotations

import dataclasses

from infmap_kit.bench.records.record import BenchRecord
from infmap_kit.bench.scopes import (
    DECODE,
    DETECTION,
    ENGINE_ALONE,
    FILE_TO_MAP,
    LUNGS,
    RENDERING,
    RESIZE,
    SERVED_ENSEMBLE,
)
from infmap_kit.parts.contract import ENSEMBLE


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage of a file on its way to the map.

    Parameters
    ----------
    name
        The stage.
    ms
        Milliseconds; may be below 0 by noise, since most are differences.
    """

    name: str
    ms: float


def stages_of(record: BenchRecord) -> list[Stage]:
    """Split file to map into stages whose sum is its p50; empty when a scope is missing.

    Decoding, resizing, engine, detection and rendering are p50s measured by themselves; the time in Triton's
    own statistics beyond the graphs is its python backend; the time on the client's clock beyond that is gRPC
    and the client; the remainder of file to map is noise between scopes.
    """
    scopes = record.scopes
    needed = (FILE_TO_MAP, SERVED_ENSEMBLE, ENGINE_ALONE, DECODE, RESIZE, DETECTION, RENDERING)
    server = record.server.get(ENSEMBLE.name)
    if server is None or any(name not in scopes for name in needed):
        return []
    p50 = {name: scopes[name].p50_ms for name in needed}
    lungs = [Stage(LUNGS, scopes[LUNGS].p50_ms)] if LUNGS in scopes else []
    graphs = p50[ENGINE_ALONE] + p50[DETECTION] + p50[RENDERING] + sum(stage.ms for stage in lungs)
    # Triton counts means; the client's clock is taken as a mean here too, lest a skewed tail move a stage.
    asked = scopes[SERVED_ENSEMBLE].summary().mean_ms
    client = max(asked - server["total"], 0.0)
    stages = [
        Stage(DECODE, p50[DECODE]),
        Stage(RESIZE, p50[RESIZE]),
        Stage("gRPC and client", client),
        Stage("Triton's queue", server["queue"]),
        Stage("engine", p50[ENGINE_ALONE]),
        *lungs,
        Stage(DETECTION, p50[DETECTION]),
        Stage(RENDERING, p50[RENDERING]),
    ]
    inside = p50[SERVED_ENSEMBLE] - client - server["queue"] - graphs
    stages.append(Stage("Triton and its python backend, and engine slower there", inside))
    rest = p50[FILE_TO_MAP] - p50[SERVED_ENSEMBLE] - p50[DECODE] - p50[RESIZE]
    stages.append(Stage("between the scopes", rest))
    return stages
