"""Triton's counts, once they say all that was asked."""

from __future__ import annotations

import time

from infmap_kit.triton.client import InfmapClient
from patience import PATIENCE_S


def requests_settled(client: InfmapClient) -> dict[str, int]:
    """Requests by model, when Triton has counted them all: it answers first and counts afterwards."""
    deadline = time.monotonic() + PATIENCE_S
    counts: dict[str, int] = {}
    while time.monotonic() < deadline:
        again = {name: statistics["requests"] for name, statistics in client.statistics().items()}
        if again == counts:
            break
        counts = again
        time.sleep(0.5)
    return counts
