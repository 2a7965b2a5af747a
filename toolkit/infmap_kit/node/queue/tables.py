"""The queue's tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from infmap_kit.node.queue.states import DeliveryState
from infmap_kit.node.queue.view import Overview
from infmap_kit.report.table import Table


def status_tables(seen: Overview, waiting_because: Mapping[str, str]) -> list[Table]:
    """Radiographs by state, and deliveries by destination."""
    images = Table("", [*seen.images], [[str(number) for number in seen.images.values()]])
    to = [*DeliveryState]
    rows = [
        (name, *(str(counts[state]) for state in to), waiting_because.get(name, ""))
        for name, counts in sorted(seen.deliveries.items())
    ]
    deliveries = Table("", ("destination", *to, "waiting because"), rows)
    return [images, deliveries] if rows else [images]


def images_table(found: Sequence[Mapping[str, Any]]) -> Table:
    """One row a radiograph."""
    rows = [
        (
            str(image["id"]),
            _moment(image["received_at"]),
            image["caller"],
            image["state"],
            image["reason"],
        )
        for image in found
    ]
    columns = ("ID", "received, UTC", "from", "state", "found, or why")
    return Table("", columns, rows)


def history_table(image: Mapping[str, Any]) -> Table:
    """What happened to one radiograph."""
    return Table(
        f"Radiograph {image['id']}: {image['state']}",
        ("when, UTC", "what"),
        [(_moment(event["at"]), event["what"]) for event in image["history"]],
        notes=[image.get("sop_instance_uid") or image["uid"]],
    )


def deliveries_table(image: Mapping[str, Any]) -> Table:
    """Where one radiograph's results are."""
    keys = ("kind", "destination", "state", "attempts", "reason")
    rows = [tuple(str(delivery[key]) for key in keys) for delivery in image["deliveries"]]
    columns = ("result", "to", "state", "refused", "why, or warning")
    return Table("", columns, rows)


def _moment(iso: str) -> str:
    return iso[:19].replace("T", " ")
