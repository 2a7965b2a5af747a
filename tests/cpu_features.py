"""What this machine's processor can do, where libraries compute otherwise without it."""

from __future__ import annotations

from pathlib import Path


def cpu_has(feature: str) -> bool:
    """Whether a feature, such as ``avx512f`` or ``vnni`` of any kind, is among the processor's."""
    return feature in Path("/proc/cpuinfo").read_text(encoding="utf-8")
