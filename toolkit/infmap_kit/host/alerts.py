"""Alert rules for Prometheus, over the metrics of the node and of the model server."""

from __future__ import annotations

from pathlib import Path

from infmap_kit.model.files import write_bytes

RULES = Path(__file__).with_name("templates") / "prometheus" / "infmap-alerts.yml"
"""The rules; `docs/operations.md` says what each means."""


def write_alerts(target: Path) -> None:
    """Write the rules into a file, beside and renamed."""
    write_bytes(target, RULES.read_bytes())
