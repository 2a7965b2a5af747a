"""Bundles by somebody who means no good."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from infmap_kit.release.archive import read_archive, write_archive


def altered_bundle(bundle: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A bundle by somebody who knows how bundles are made, and repairs every hash."""
    files = dict(read_archive(bundle).files)
    change(files)
    record = json.loads(files.pop("bundle.json"))
    record["files"] = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    path = bundle.with_name("altered.bundle")
    write_archive(path, {"bundle.json": json.dumps(record).encode(), **files})
    return path
