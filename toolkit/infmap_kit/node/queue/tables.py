"""The queue's tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from infmap_kit.answer.severity import Grades
from infmap_kit.model.spec import DETECTION_THRESHOLD
from infmap_kit.node.queue.clock import shown_time
from infmap_kit.node.queue.erasure import Held
from infmap_kit.node.queue.states import CONNECTION, HANDSHAKE, DeliveryState, State
from infmap_kit.node.queue.view import Overview
from infmap_kit.report.numbers import shown_percent, shown_probability
from infmap_kit.report.table import Table, Toned

_PERHAPS = ("accession", "severity", "grade", "probability")
_TONES = {
    State.DONE: "good",
    State.FAILED: "bad",
    **dict.fromkeys((State.WAITING, State.WORKING, State.DELIVERING), "warning"),
}


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


def _severity(image: Mapping[str, Any]) -> str:
    """Severity in words, as in ``12.3 % of the lungs``; empty where there is none."""
    percent = image["severity_percent"]
    if percent is None:
        return ""
    # The queue keeps the grade, not its ends; they seldom are others than these.
    cut_offs = Grades().cut_offs if image["grade"] else ()
    return f"{shown_percent(percent, cut_offs, decimals=1)} % of the {image['severity_of']}"


def _probability(image: Mapping[str, Any]) -> str:
    """Highest probability of the map, with two decimals; empty where there is none."""
    probability = image["probability_max"]
    return "" if probability is None else shown_probability(probability, DETECTION_THRESHOLD)


def _short_accession(image: Mapping[str, Any]) -> str:
    """The accession number as it is shown, or the first digits of its hash."""
    accession: str = image["accession"]
    kind, _, digits = accession.rpartition(":")
    return digits[:12] if kind == "hmac-sha256" else accession


def refused_table(seen: Overview) -> Table:
    """Connections that were refused, by reason."""
    rows = [
        (what, reason, str(number))
        for what, group in (("TLS handshake", HANDSHAKE), ("connection", CONNECTION))
        for reason, number in seen.refusals(group).items()
    ]
    return Table("", ("refused", "because", "times"), rows)


def images_table(images: Sequence[Mapping[str, Any]]) -> Table:
    """A table with a row for each radiograph."""
    columns = (
        *("ID", "received, UTC", "from", "accession", "state"),
        *("severity", "grade", "probability", "found, or why"),
    )
    rows = [_cells(row) for row in images]
    # What nothing is known of, such as an accession number without a key, takes no room.
    kept = [
        at
        for at, name in enumerate(columns)
        if name not in _PERHAPS or any(cells[at] for cells in rows)
    ]
    return Table(
        "",
        [columns[at] for at in kept],
        [[cells[at] for at in kept] for cells in rows],
    )


def _cells(image: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells of one radiograph in a list."""
    return (
        str(image["id"]),
        shown_time(image["received_at"]),
        image["caller"],
        _short_accession(image),
        Toned(image["state"], _TONES.get(image["state"], "soft")),
        _severity(image),
        image["grade"] or "",
        _probability(image),
        image["reason"],
    )


def held_table(radiographs: Sequence[Held]) -> Table:
    """A table with a row for each radiograph that the node holds of somebody."""
    rows = [
        (str(one.image_id), shown_time(one.received_at), one.caller, str(one.state))
        for one in radiographs
    ]
    return Table("", ("ID", "received, UTC", "from", "state"), rows)


def callers_table(callers: Sequence[Mapping[str, Any]]) -> Table:
    """A table with a row for each caller that was refused."""
    rows = [
        (
            shown_time(row["last_at"]),
            row["address"],
            row["caller"],
            row["called"],
            row["reason"],
            str(row["times"]),
        )
        for row in callers
    ]
    columns = ("last, UTC", "address", "from", "called", "refused because", "times")
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
    """The deliveries of one radiograph's results as a table."""
    keys = ("kind", "destination", "state", "attempts", "reason")
    rows = [tuple(str(delivery[key]) for key in keys) for delivery in image["deliveries"]]
    columns = ("result", "to", "state", "refused", "why, or warning")
    return Table("", columns, rows)
