"""The command line of infmap-kit: each command parses, calls one function, and prints.

Everything heavy is imported inside the commands, so that ``--help`` answers at once.
"""

from __future__ import annotations

from infmap_kit.cli.app import app
from infmap_kit.cli.models import bundle, examine, export, kit, releases, verify
from infmap_kit.cli.results import (
    cohort,
    infer,
    node,
    node_custody,
    node_setup,
    progression,
    synthesize,
    view,
)
from infmap_kit.cli.serving import accept, bench, box, demo, deploy, runtime, serve, tune
from infmap_kit.command import run

__all__ = ["app", "main"]

# Each joins the application when it is imported.
_MODELS = (bundle, examine, export, kit, releases, verify)
_RESULTS = (cohort, infer, node, node_custody, node_setup, progression, synthesize, view)
_SERVING = (accept, bench, box, demo, deploy, runtime, serve, tune)


def main() -> None:
    """Entry point of ``infmap-kit``."""
    run(app)
