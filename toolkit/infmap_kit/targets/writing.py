"""Files of a draft: what a model's version folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx

from infmap_kit.parts.contract import ENSEMBLE
from infmap_kit.triton.releases import Draft
from infmap_kit.triton.repository import version_folder


def write_model(draft: Draft, name: str, file: str, content: bytes) -> Path:
    """Write what a model's version folder holds; returns where."""
    version = version_folder(draft.folder, name, draft.release)
    version.mkdir(parents=True, exist_ok=True)
    (version / file).write_bytes(content)
    return version / file


def write_graphs(draft: Draft, graphs: Mapping[str, onnx.ModelProto], file: str) -> dict[str, Path]:
    """Write graphs into their version folders, and the ensemble's empty one."""
    written = {
        name: write_model(draft, name, file, graph.SerializeToString(deterministic=True))
        for name, graph in graphs.items()
    }
    write_ensemble(draft)
    return written


def write_ensemble(draft: Draft) -> None:
    """Make the ensemble's version folder."""
    # Object stores know no empty folders, and Triton wants one for each version.
    write_model(draft, ENSEMBLE.name, "README.txt", b"An ensemble has no file of its own.\n")
