"""The demo model's wheel asks for infmap-kit of its own version: both are built of one checkout."""

from __future__ import annotations

from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class SameVersion(MetadataHookInterface):
    """States what exports, serves on a CPU and asks, in the version that the wheel has itself."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the dependency to the wheel's metadata."""
        version = metadata["version"]
        metadata["dependencies"] = [f"infmap-kit[client,export,embedded]=={version}"]
