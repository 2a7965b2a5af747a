"""The node's figures for Prometheus, counted in the queue itself: they agree with it after any crash."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from infmap_kit.node.queue.states import CONNECTION, FINAL, HANDSHAKE
from infmap_kit.node.queue.transitions import Finished
from infmap_kit.node.queue.view import Overview

_COUNTERS = (
    (
        "infmap_node_duplicates",
        "Arrivals under a known SOP Instance UID: the same picture, or another.",
        "content",
        {"same": "duplicate", "other": "conflict"},
    ),
    (
        "infmap_node_finished",
        "Radiographs that came to an end.",
        "state",
        {state.value: f"finished {state}" for state in FINAL},
    ),
    (
        "infmap_node_delivered",
        "Results that destinations stored.",
        "answer",
        {"success": "delivered", "warning": "warned"},
    ),
)
"""Name, text and label of a metric, and the queue's counter of each value."""

_REFUSALS = (
    (
        "infmap_node_handshakes_failed",
        "TLS handshakes of callers that failed, by the TLS library's reason.",
        HANDSHAKE,
    ),
    (
        "infmap_node_connections_refused",
        "Connections of callers that became no association, by reason.",
        CONNECTION,
    ),
)

_LATENCY_BUCKETS_S = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200)


class Metrics:
    """The metrics of a node.

    Parameters
    ----------
    look
        Counts the queue.
    free_bytes
        Space that is left on the spool's disk.
    troubles
        Why destinations take nothing now, by name; empty where they do.
    lost
        Number of audit messages that could not be written.
    """

    def __init__(
        self,
        look: Callable[[], Overview],
        free_bytes: Callable[[], int],
        troubles: Callable[[], Mapping[str, str]] = dict,
        lost: Callable[[], int] = int,
    ) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_QueueCollector(look, free_bytes, troubles, lost))
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

    def finished(self, image: Finished) -> None:
        """Note a radiograph that has come to its end."""
        if image.latency_s is not None:
            self._latency.observe(image.latency_s)

    def association_rejected(self) -> None:
        """Note an association that was rejected."""
        self._rejected.inc()

    def text(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _QueueCollector(Collector):
    def __init__(
        self,
        look: Callable[[], Overview],
        free_bytes: Callable[[], int],
        troubles: Callable[[], Mapping[str, str]],
        lost: Callable[[], int],
    ) -> None:
        self._look = look
        self._free_bytes = free_bytes
        self._troubles = troubles
        self._lost = lost

    def describe(self) -> Iterable[Metric]:
        """Describe nothing: the queue is counted by a request, not by the registration."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Count the queue."""
        overview = self._look()
        counters = overview.counters
        yield _by_label(
            GaugeMetricFamily(
                "infmap_node_images", "Radiographs in the queue by state.", labels=["state"]
            ),
            overview.images,
        )
        deliveries = GaugeMetricFamily(
            "infmap_node_deliveries",
            "Results by destination and state.",
            labels=["destination", "state"],
        )
        for destination, counts in overview.deliveries.items():
            for state, number in counts.items():
                deliveries.add_metric([destination, state], number)
        yield deliveries
        yield CounterMetricFamily(
            "infmap_node_received", "Radiographs accepted.", value=counters.get("received", 0)
        )
        for name, text, group in _REFUSALS:
            yield _by_label(
                CounterMetricFamily(name, text, labels=["reason"]), overview.refusals(group)
            )
        yield _by_destination(self._troubles())
        for name, text, label, counted in _COUNTERS:
            yield _by_label(
                CounterMetricFamily(name, text, labels=[label]),
                {value: counters.get(counter, 0) for value, counter in counted.items()},
            )
        yield CounterMetricFamily(
            "infmap_node_audit_lost",
            "Audit messages that could not be written since this node was started.",
            value=self._lost(),
        )
        yield GaugeMetricFamily(
            "infmap_node_spool_free_bytes", "Space on the spool's disk.", value=self._free_bytes()
        )


def _by_destination(troubles: Mapping[str, str]) -> Metric:
    family = GaugeMetricFamily(
        "infmap_node_destination_away",
        "1 for a destination that takes nothing now, with the reason.",
        labels=["destination", "reason"],
    )
    for name, reason in troubles.items():
        family.add_metric([name, reason], float(bool(reason)))
    return family


def _by_label(
    family: GaugeMetricFamily | CounterMetricFamily, values: Mapping[str, float]
) -> Metric:
    for label, value in values.items():
        family.add_metric([label], value)
    return family
