"""The command line of infmap-train: each command parses, calls one function, and prints."""

from __future__ import annotations

from infmap_kit.command import run
from infmap_train.cli import classify, dataset, evaluate, fit, maps, networks, reproduce, summarise
from infmap_train.cli.app import app


def main() -> None:
    """Entry point of ``infmap-train``."""
    run(app)


__all__ = [
    "app",
    "classify",
    "dataset",
    "evaluate",
    "fit",
    "main",
    "maps",
    "networks",
    "reproduce",
    "summarise",
]
