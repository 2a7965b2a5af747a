"""What a node shows on its page, made up for tests."""

from __future__ import annotations

from typing import Any

_MOMENT = "2026-01-05T09:30:00.123456+00:00"

_FAILED = {
    "id": 7,
    "received_at": _MOMENT,
    "caller": "XRAY<1>",
    "accession": f"hmac-sha256:{'0123456789abcdef' * 2}",
    "state": "failed",
    "reason": "the server does not answer",
    **dict.fromkeys(("severity_percent", "severity_of", "grade", "probability_max")),
}


def node_status(*problems: str) -> dict[str, Any]:
    """A node with one model that answers, a destination that does not, and two radiographs."""
    return {
        "version": "1",
        "ae_title": "INFMAP",
        "port": 11112,
        "started_at": _MOMENT,
        "now": _MOMENT,
        "free_gb": 12.34,
        "problems": list(problems),
        "warnings": [],
        "received": 1205,
        "images": {"done": 1203, "failed": 2},
        "models": [{"name": "adult", "url": "127.0.0.1:8001", "trouble": ""}],
        "destinations": [
            {
                "name": "archive",
                "kind": "stow",
                "trouble": "refuses connections",
                "counts": {"waiting": 3, "dead": 1},
            }
        ],
        "refused": [
            {
                "last_at": _MOMENT,
                "address": "10.1.0.7",
                "caller": "XRAY<2>",
                "called": "INFMAPP",
                "reason": "another AE title was called",
                "times": 3,
            }
        ],
        "worklist": [_FAILED],
        "latest": [
            {
                **_FAILED,
                "id": 8,
                "state": "done",
                "reason": "COVID-19 detected",
                "severity_percent": 12.345,
                "severity_of": "lungs",
                "grade": "mild",
                "probability_max": 0.978,
            },
            _FAILED,
        ],
    }
