"""The data of the page, served or exported."""

from __future__ import annotations

from typing import Any

from infmap_kit.imaging.colour import overlay_table
from infmap_kit.model.paint import BY_THE_PAPER, Paint
from infmap_kit.view.gallery import Card, Gallery
from infmap_kit.view.opinions import Opinions


def list_document(gallery: Gallery, opinions: Opinions) -> dict[str, Any]:
    """All results in brief, and what the reader said of them."""
    cards = gallery.cards()
    return {
        "reader": opinions.reader,
        "results": [card.listed for card in cards],
        "opinions": opinions.stated(cards),
    }


def result_document(card: Card) -> dict[str, Any]:
    """One result, with what lays the colours of its map over a radiograph."""
    if "rejected" in card.document:
        return card.document
    paint = Paint.from_parameters(card.document["paint"])
    overlay = {
        "operation": "multiply" if paint.paint == BY_THE_PAPER else "source-over",
        "colours": overlay_table(paint, card.document["colours"]).tolist(),
        "in_lungs": paint.in_lungs,
    }
    return {**card.document, "overlay": overlay}
