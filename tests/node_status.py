"""What a node shows on its page, made up for tests."""

from __future__ import annotations

from typing import Any

_MOMENT = "2026-01-05T09:30:00.123456+00:00"


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
        "refused": [("TLS handshake", "certificate verify failed: certificate has expired", "3")],
        "latest": [
            {"id": 7, "received_at": _MOMENT, "caller": "XRAY<1>", "state": state, "reason": why}
            for state, why in (("done", "detected"), ("failed", "the server does not answer"))
        ],
    }
