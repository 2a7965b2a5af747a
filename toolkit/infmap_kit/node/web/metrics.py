"""The node's figures for Prometheus, counted in the queue itself: they agree with it after any crash."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from infmap_kit.node.queue.states import FINAL
from infmap_kit.node.queue.transitions import Finished
from infmap_kit.node.queue.view import Overview

_LATENCY_BUCKETS_S = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200)


class Metrics:
    """What `/metrics` shows.

    Parameters
    ----------
    look
        Counts the queue.
    free_bytes
        Space that is left on the spool's disk.
    """

    def __init__(self, look: Callable[[], Overview], free_bytes: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Queue(look, free_bytes))
        self._latency = Histogram(
            "infmap_node_latency_seconds",
            "From a radiograph's arrival to its last result being stored, since this node was started.",
            buckets=_LATENCY_BUCKETS_S,
            registry=self._registry,
        )
        self._rejected = Counter(
            "infmap_node_associations_rejected",
            "Associations that were rejected since this node was started.",
            registry=self._registry,
        )

    def finished(self, what: Finished) -> None:
        """Note a radiograph that has come to its end."""
        if what.latency_s is not None:
            self._latency.observe(what.latency_s)

    def association_rejected(self) -> None:
        """Note an association that was rejected."""
        self._rejected.inc()

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self._registry)


class _Queue(Collector):
    def __init__(self, look: Callable[[], Overview], free_bytes: Callable[[], int]) -> None:
        self._look = look
        self._free_bytes = free_bytes

    def describe(self) -> Iterable[Metric]:
        """Nothing: the queue is asked when somebody looks, not when it is registered."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Count the queue."""
        found = self._look()
        images = GaugeMetricFamily(
            "infmap_node_images", "Radiographs in the queue by state.", labels=["state"]
        )
        for state, number in found.images.items():
            images.add_metric([state], number)
        yield images
        deliveries = GaugeMetricFamily(
            "infmap_node_deliveries",
            "Results by destination and state.",
            labels=["destination", "state"],
        )
        for destination, counts in found.deliveries.items():
            for state, number in counts.items():
                deliveries.add_metric([destination, state], number)
        yield deliveries
        counters = found.counters
        yield CounterMetricFamily(
            "infmap_node_received", "Radiographs accepted.", value=counters.get("received", 0)
        )
        duplicates = CounterMetricFamily(
            "infmap_node_duplicates",
            "Arrivals under a known SOP Instance UID: the same picture, or another.",
            labels=["content"],
        )
        duplicates.add_metric(["same"], counters.get("duplicate", 0))
        duplicates.add_metric(["other"], counters.get("conflict", 0))
        yield duplicates
        ended = CounterMetricFamily(
            "infmap_node_finished", "Radiographs that came to an end.", labels=["state"]
        )
        for state in FINAL:
            ended.add_metric([state], counters.get(f"finished {state}", 0))
        yield ended
        stored = CounterMetricFamily(
            "infmap_node_delivered", "Results that destinations stored.", labels=["answer"]
        )
        stored.add_metric(["success"], counters.get("delivered", 0))
        stored.add_metric(["warning"], counters.get("warned", 0))
        yield stored
        yield GaugeMetricFamily(
            "infmap_node_spool_free_bytes",
            "Space on the spool's disk.",
            value=self._free_bytes(),
        )
