"""Refuse files that must not be committed: radiographs, pictures that nobody vouched for, and large files.

.venv/bin/python scripts/refuse_files.py FILE...

A picture is known by its first bytes, whatever it is called. One that was made of synthetic radiographs alone
gets a line in ``PICTURES``, by whoever made it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from infmap_kit.imaging.readers import SIGNATURE_BYTES, has_picture_signature

PICTURES = (
    "docs/annotate-candidates.png",
    "docs/annotate-drawing.png",
    "docs/infection-map.png",
    "docs/progression.png",
    "docs/reliability.png",
    # Made or drawn by the fuzzer's seeds.
    "tests/fuzz/corpus/*",
)
"""Where pictures may lie; all are synthetic."""

LARGE = ("training/demo_model/segmentation.onnx", "training/demo_lungs/segmentation.onnx")
MAX_BYTES = 2**20


def reasons(path: Path) -> Iterator[str]:
    """Why a file must not be committed."""
    name = path.as_posix()
    size = path.stat().st_size
    if size > MAX_BYTES and name not in LARGE:
        yield f"expected at most {MAX_BYTES >> 10} KiB, found {size >> 10}: leave it out of the history"
    with path.open("rb") as file:
        start = file.read(SIGNATURE_BYTES)
    if has_picture_signature(start) and not any(fnmatch(name, known) for known in PICTURES):
        yield "expected no picture here: no patient's radiograph is committed; name a synthetic one in PICTURES"


def main(files: list[str]) -> int:
    """Print a line for each reason; gives the exit code."""
    found = [f"{name}: {reason}" for name in files for reason in reasons(Path(name))]
    sys.stderr.writelines(f"{line}\n" for line in found)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
