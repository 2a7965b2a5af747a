"""The queue's tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Column, Table

from infmap_kit.node.queue.states import DeliveryState
from infmap_kit.node.queue.view import Overview


def status_tables(seen: Overview, waiting_because: Mapping[str, str]) -> list[Table]:
    """Radiographs by state, and deliveries by destination."""
    images = Table(*(Column(state, justify="right") for state in seen.images))
    images.add_row(*(str(number) for number in seen.images.values()))
    states = list(DeliveryState)
    deliveries = Table(
        "destination", *(Column(state, justify="right") for state in states), "waiting because"
    )
    for name, counts in sorted(seen.deliveries.items()):
        reason = escape(waiting_because.get(name, ""))
        deliveries.add_row(name, *(str(counts[state]) for state in states), reason)
    return [images, deliveries] if seen.deliveries else [images]


def images_table(found: Sequence[Mapping[str, Any]]) -> Table:
    """One row a radiograph."""
    table = Table(Column("ID", justify="right"), "received, UTC", "from", "state", "found, or why")
    for image in found:
        table.add_row(
            str(image["id"]),
            _moment(image["received_at"]),
            escape(image["caller"]),
            image["state"],
            escape(image["reason"]),
        )
    return table


def history_table(image: Mapping[str, Any]) -> Table:
    """What happened to one radiograph."""
    uid = image.get("sop_instance_uid") or image["uid"]
    table = Table(
        "when, UTC", "what", title=f"Radiograph {image['id']}: {image['state']}", caption=uid
    )
    for event in image["history"]:
        table.add_row(_moment(event["at"]), escape(event["what"]))
    return table


def deliveries_table(image: Mapping[str, Any]) -> Table:
    """Where one radiograph's results are."""
    table = Table("result", "to", "state", Column("refused", justify="right"), "why, or warning")
    for delivery in image["deliveries"]:
        table.add_row(
            delivery["kind"],
            delivery["destination"],
            delivery["state"],
            str(delivery["attempts"]),
            escape(delivery["reason"]),
        )
    return table


def _moment(iso: str) -> str:
    return iso[:19].replace("T", " ")
