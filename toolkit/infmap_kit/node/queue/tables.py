"""The queue's tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from infmap_kit.node.queue.clock import shown_time
from infmap_kit.node.queue.states import CONNECTION, HANDSHAKE, DeliveryState
from infmap_kit.node.queue.view import Overview
from infmap_kit.report.table import Table


def status_tables(seen: Overview, waiting_because: Mapping[str, str]) -> list[Table]:
    """Radiographs by state, deliveries by destination, and connections that were refused."""
    images = Table("", [*seen.images], [[str(number) for number in seen.images.values()]])
    to = [*DeliveryState]
    rows = [
        (name, *(str(counts[state]) for state in to), waiting_because.get(name, ""))
        for name, counts in sorted(seen.deliveries.items())
    ]
    deliveries = Table("", ("destination", *to, "waiting because"), rows)
    refused = refused_table(seen)
    return [images, *([deliveries] if rows else []), *([refused] if refused.rows else [])]


def refused_table(seen: Overview) -> Table:
    """Connections that were refused, by reason."""
    rows = [
        (what, reason, str(number))
        for what, group in (("TLS handshake", HANDSHAKE), ("connection", CONNECTION))
        for reason, number in seen.refusals(group).items()
    ]
    return Table("", ("refused", "because", "times"), rows)


def images_table(images: Sequence[Mapping[str, Any]]) -> Table:
    """One row a radiograph."""
    rows = [
        (str(row["id"]), shown_time(row["received_at"]), row["caller"], row["state"], row["reason"])
        for row in images
    ]
    columns = ("ID", "received, UTC", "from", "state", "found, or why")
    return Table("", columns, rows)


def history_table(image: Mapping[str, Any]) -> Table:
    """The events of one radiograph."""
    return Table(
        f"Radiograph {image['id']}: {image['state']}",
        ("when, UTC", "what"),
        [(shown_time(event["at"]), event["what"]) for event in image["history"]],
        notes=[image.get("sop_instance_uid") or image["uid"]],
    )


def deliveries_table(image: Mapping[str, Any]) -> Table:
    """Where one radiograph's results are."""
    keys = ("kind", "destination", "state", "attempts", "reason")
    rows = [tuple(str(delivery[key]) for key in keys) for delivery in image["deliveries"]]
    columns = ("result", "to", "state", "refused", "why, or warning")
    return Table("", columns, rows)
