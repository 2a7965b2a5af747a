"""What the page is told, served or exported."""

from __future__ import annotations

from typing import Any

from infmap_kit.imaging.colour import colour_table
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
    """One result, with the colours of its map."""
    if "rejected" in card.document:
        return card.document
    return {**card.document, "table": colour_table(card.document["colours"]).tolist()}
