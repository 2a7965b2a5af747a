"""The Grafana dashboard of a box: what node and model server tell Prometheus, in panels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

SOURCE = "infmap-prometheus"
"""Grafana's name (``uid``) of the Prometheus that it asks."""

NODE_JOB, TRITON_JOB = "infmap-node", "infmap-triton"
"""Jobs of Prometheus: what it asks on which page."""

# Grafana puts in four scrapes, at least.
_RATE = "[$__rate_interval]"
_ON_THE_WAY = 'infmap_node_images{state=~"waiting|working|delivering"}'
_STATES = {"0": {"text": "down", "color": "red"}, "1": {"text": "up", "color": "green"}}
_COLUMNS = 24


@dataclasses.dataclass(frozen=True, kw_only=True)
class Panel:
    """A panel of the dashboard.

    Parameters
    ----------
    title, text
        Its heading, and what Grafana says beside it.
    queries
        Each line's words to its PromQL; Grafana fills in labels in double braces.
    unit
        Grafana's name of the unit.
    limits
        From which value on a single figure has which colour; ``None`` is the least. Without it, it is a curve.
    stacked
        Whether curves lie one on the other.
    is_state
        Whether 0 and 1 are shown as down and up.
    """

    title: str
    text: str
    queries: Mapping[str, str]
    unit: str = "short"
    limits: Mapping[float | None, str] | None = None
    stacked: bool = False
    is_state: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows of Grafana's grid."""
        return (12, 8) if self.limits is None else (4, 4)

    def document(self, number: int, x: int, y: int) -> dict[str, Any]:
        """The panel as Grafana's JSON has it, at a place of the grid."""
        width, height = self.size
        source = {"type": "prometheus", "uid": SOURCE}
        field: dict[str, Any] = {"unit": self.unit, "min": 0}
        if self.limits is None:
            stacking = {"mode": "normal" if self.stacked else "none", "group": "A"}
            field["custom"] = {"fillOpacity": 8, "showPoints": "never", "stacking": stacking}
        else:
            steps = [{"color": colour, "value": value} for value, colour in self.limits.items()]
            field["thresholds"] = {"mode": "absolute", "steps": steps}
        if self.is_state:
            field["mappings"] = [{"type": "value", "options": _STATES}]
        return {
            "id": number,
            "type": "timeseries" if self.limits is None else "stat",
            "title": self.title,
            "description": self.text,
            "datasource": source,
            "gridPos": {"x": x, "y": y, "w": width, "h": height},
            "targets": [
                {
                    "refId": chr(65 + place),
                    "datasource": source,
                    "expr": query,
                    "legendFormat": words,
                }
                for place, (words, query) in enumerate(self.queries.items())
            ],
            "fieldConfig": {"defaults": field, "overrides": []},
            "options": _CURVE if self.limits is None else _FIGURE,
        }


_CURVE = {
    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
    "tooltip": {"mode": "multi", "sort": "desc"},
}
_FIGURE = {
    "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    "colorMode": "value",
    "graphMode": "area",
}
_UP: Mapping[float | None, str] = {None: "red", 1: "green"}
_NONE: Mapping[float | None, str] = {None: "green", 1: "red"}


def _by_model(metric: str) -> str:
    return f"sum by (model) (rate({metric}{_RATE}))"


def _share_of(metric: str) -> str:
    """Seconds of a request: Triton counts microseconds, of each model of the ensemble."""
    return f"{_by_model(metric)} / {_by_model('nv_inference_request_success')} / 1e6"


def _slowest(share: float) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate(infmap_node_latency_seconds_bucket{_RATE})))"


def _a_minute(metric: str, label: str = "") -> str:
    by = f" by ({label})" if label else ""
    return f"60 * sum{by} (rate({metric}{_RATE}))"


ROWS: Mapping[str, Sequence[Panel]] = {
    "Now": (
        Panel(
            title="Node",
            text="Whether the node answers Prometheus.",
            queries={"node": f'min(up{{job="{NODE_JOB}"}})'},
            limits=_UP,
            is_state=True,
        ),
        Panel(
            title="Model server",
            text="Whether Triton answers Prometheus.",
            queries={"server": f'min(up{{job="{TRITON_JOB}"}})'},
            limits=_UP,
            is_state=True,
        ),
        Panel(
            title="On the way",
            text="Radiographs that are not finished yet.",
            queries={"radiographs": f"sum({_ON_THE_WAY})"},
            limits={None: "green", 20: "orange", 100: "red"},
        ),
        Panel(
            title="Failed",
            text="Radiographs that were given up. `infmap-kit node list` names them, `node retry` tries again.",
            queries={"radiographs": 'sum(infmap_node_images{state="failed"})'},
            limits=_NONE,
        ),
        Panel(
            title="Destinations away",
            text="Destinations that take nothing now.",
            queries={"destinations": "sum(infmap_node_destination_away) or vector(0)"},
            limits=_NONE,
        ),
        Panel(
            title="Free space",
            text="On the disk of what is on the way.",
            queries={"bytes": "min(infmap_node_spool_free_bytes)"},
            unit="bytes",
            limits={None: "red", 5e9: "orange", 2e10: "green"},
        ),
    ),
    "Radiographs": (
        Panel(
            title="Received and finished, a minute",
            text="Received: accepted from callers. The others: how they ended.",
            queries={
                "received": _a_minute("infmap_node_received_total"),
                "{{state}}": _a_minute("infmap_node_finished_total", "state"),
            },
        ),
        Panel(
            title="On the way, by state",
            text="Waiting for a worker, being computed, or being delivered.",
            queries={"{{state}}": f"sum by (state) ({_ON_THE_WAY})"},
            stacked=True,
        ),
        Panel(
            title="From arrival to the last result stored",
            text="Half, and 95 %, of the radiographs took at most so long. Empty while none is finished.",
            queries={"half": _slowest(0.5), "95 %": _slowest(0.95)},
            unit="s",
        ),
        Panel(
            title="Deliveries that wait or are dead",
            text="Waiting ones are tried again; dead ones are not.",
            queries={
                "{{destination}} {{state}}": "sum by (destination, state) "
                '(infmap_node_deliveries{state=~"waiting|dead"})'
            },
        ),
        Panel(
            title="Results stored, a minute",
            text="By what the destination answered.",
            queries={"{{answer}}": _a_minute("infmap_node_delivered_total", "answer")},
        ),
        Panel(
            title="Turned away and repeated, a minute",
            text="Rejected: callers that are not listed, or too many. Other: another picture of a known UID.",
            queries={
                "associations rejected": _a_minute("infmap_node_associations_rejected_total"),
                "repeated, {{content}} picture": _a_minute(
                    "infmap_node_duplicates_total", "content"
                ),
            },
        ),
    ),
    "Model server": (
        Panel(
            title="Requests",
            text="By model and release.",
            queries={
                "{{model}} {{version}}": "sum by (model, version) "
                f"(rate(nv_inference_request_success{_RATE}))",
                "{{model}} {{version}} failed": "sum by (model, version) "
                f"(rate(nv_inference_request_failure{_RATE}))",
            },
            unit="reqps",
        ),
        Panel(
            title="Time of a request, on average",
            text="In the queue, and computing. Empty while nobody asks.",
            queries={
                "{{model}} queue": _share_of("nv_inference_queue_duration_us"),
                "{{model}} compute": _share_of("nv_inference_compute_infer_duration_us"),
            },
            unit="s",
        ),
        Panel(
            title="Waiting requests",
            text="In Triton's own queue.",
            queries={"{{model}}": "sum by (model) (nv_inference_pending_request_count)"},
        ),
        Panel(
            title="Machine",
            text="Share of the processors in use, and of the memory.",
            queries={
                "processors": "avg(nv_cpu_utilization)",
                "memory": "sum(nv_cpu_memory_used_bytes) / sum(nv_cpu_memory_total_bytes)",
            },
            unit="percentunit",
        ),
    ),
}
"""The dashboard, a row after the other."""


def dashboard() -> dict[str, Any]:
    """The dashboard as a file that Grafana provisions."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS.items():
        place = {"x": 0, "y": y, "w": _COLUMNS, "h": 1}
        head = {"type": "row", "title": title, "collapsed": False, "panels": []}
        panels.append({"id": len(panels) + 1, **head, "gridPos": place})
        y += 1
        x = 0
        for panel in row:
            width, height = panel.size
            if x + width > _COLUMNS:
                x, y = 0, y + height
            panels.append(panel.document(len(panels) + 1, x, y))
            x += width
        y += row[-1].size[1]
    return {
        "uid": "infmap-kit",
        "title": "infmap-kit",
        "description": "Node and model server of infmap-kit. For research use, not a medical device.",
        "timezone": "browser",
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "panels": panels,
    }
