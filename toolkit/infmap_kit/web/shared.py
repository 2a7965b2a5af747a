"""The folder of the files that all pages share."""

from __future__ import annotations

from pathlib import Path

SHARED = Path(__file__).parent / "static"
"""The look, the keyboard and the gestures."""
