"""Triton's own statistics of where a request's time goes."""

from __future__ import annotations

import collections
import contextlib
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
        before = self._client.statistics()
        yield
        for model, counts in self._client.statistics().items():
            spent = self._spent_ns.setdefault(model, collections.Counter())
            for key, value in counts.items():
                spent[key] += value - before.get(model, {}).get(key, 0)

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
