"""Triton's own statistics of where a request's time goes."""

from __future__ import annotations

import collections
import contextlib
import time
from collections.abc import Iterator

from infmap_kit.bench.subject import Subject

PARTS = ("queue", "compute_input", "compute_infer", "compute_output")
"""Parts of a successful request's time in Triton's statistics."""


class ServerSteps:
    """Counts, step by step, the requests of some blocks and no others.

    Parameters
    ----------
    subject
        The subject with the server.
    """

    def __init__(self, subject: Subject) -> None:
        self._client = subject.client
        self._spent_ns: dict[str, collections.Counter[str]] = {}

    @contextlib.contextmanager
    def counting(self) -> Iterator[None]:
        """Add the requests that the server answers while the block runs."""
        before = self._settled()
        yield
        for model, counts in self._settled().items():
            spent = self._spent_ns.setdefault(model, collections.Counter())
            for key, value in counts.items():
                spent[key] += value - before.get(model, {}).get(key, 0)

    def _settled(self) -> dict[str, dict[str, int]]:
        """The counts once two readings agree: Triton counts a request a moment after it has answered it."""
        counts = self._client.statistics()
        # Others may ask the same server without a pause, so this does not wait for ever.
        for _ in range(20):
            time.sleep(0.002)
            before, counts = counts, self._client.statistics()
            if counts == before:
                break
        return counts

    def means(self) -> dict[str, dict[str, float]]:
        """Step to mean milliseconds of a request by part, and how many requests there were."""
        return {
            model: {
                "requests": spent["requests"],
                "total": spent["total"] / 1e6 / spent["requests"],
                **{part: spent[part] / 1e6 / spent["requests"] for part in PARTS},
            }
            for model, spent in self._spent_ns.items()
            if spent["requests"]
        }
