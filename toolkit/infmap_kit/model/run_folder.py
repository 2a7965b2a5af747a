"""The run folder: what training hands to the toolkit, each file the one whose hash its record names."""

from __future__ import annotations

import functools
from pathlib import Path

from infmap_kit.errors import ExportError
from infmap_kit.model.files import sha256_of
from infmap_kit.model.spec import ModelSpec

SPEC = "spec.json"
SEGMENTATION_GRAPH = "segmentation.onnx"
CLASSIFIER_GRAPH = "classifier.onnx"
CALIBRATION = "calibration.json"
"""What `infmap-train calibrate` found: ``temperature``, and ``spec_version``, the version of the run that it
was found for."""
METRICS = "metrics.json"
MODEL_CARD = "MODEL_CARD.md"
GATE_IMAGES = "gate_images.json"


class RunFolder:
    """A finished training on disk.

    Parameters
    ----------
    path
        The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._hashes: dict[str, str] = {}

    @property
    def exists(self) -> bool:
        """Whether the folder holds a record, which makes it a run folder."""
        return (self.path / SPEC).is_file()

    @functools.cached_property
    def spec(self) -> ModelSpec:
        """The hand-over record.

        Raises
        ------
        SpecError
            When it is missing or damaged.
        """
        return ModelSpec.read(self.path / SPEC)

    def graph(self, name: str) -> Path:
        """A graph that the record names.

        Raises
        ------
        ExportError
            When it is missing, or not the one whose hash the record names.
        """
        if not (self.path / name).is_file():
            raise ExportError(
                f"{self.path} has no {name}: let `infmap-train` end, or convert it again"
            )
        if self.spec.files.get(name) != self.sha256(name):
            raise self._altered(name)
        return self.path / name

    def optional(self, name: str) -> Path | None:
        """A file that not every run has; ``None`` where it is missing.

        Raises
        ------
        ExportError
            When the record names its hash, and it is another.
        """
        if not (self.path / name).is_file():
            return None
        named = self.spec.files.get(name)
        if named is not None and named != self.sha256(name):
            raise self._altered(name)
        return self.path / name

    def sha256(self, name: str) -> str:
        """SHA-256 of a file; computed once."""
        if name not in self._hashes:
            self._hashes[name] = sha256_of(self.path / name)
        return self._hashes[name]

    def _altered(self, name: str) -> ExportError:
        return ExportError(
            f"{self.path / name} is not what {SPEC} names (SHA-256 differs): take the run folder whole"
        )
