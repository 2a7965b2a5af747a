"""How long a test waits for what comes in the end: long, since waiting costs nothing where it does come.

A server, a browser or a process that is there in a second on an idle machine takes a minute beside four others.
"""

from __future__ import annotations

PATIENCE_S = 120.0
"""Seconds until something counts as never coming."""
PATIENCE_MS = 1000 * PATIENCE_S
