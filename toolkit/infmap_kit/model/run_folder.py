"""The run folder that training hands to the toolkit, each file the one whose hash its record names."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from infmap_kit.errors import ExportError, SpecError
from infmap_kit.model.files import read_json, sha256_of
from infmap_kit.model.finding import COVID_19, FindingSpec
from infmap_kit.model.spec import ModelSpec

SPEC = "spec.json"
SEGMENTATION_GRAPH = "segmentation.onnx"
CLASSIFIER_GRAPH = "classifier.onnx"
CALIBRATION = "calibration.json"
"""The result of `infmap-train calibrate`: ``temperature``, and ``spec_version``, the version of its run."""
FAMILIARITY_GRAPH = "familiarity.onnx"
FAMILIARITY = "familiarity.json"
"""The result of `infmap-train familiarity`: ``graph_sha256`` of the graph beside it, the ``tensor`` of the
network whose means are its features, figures, and ``spec_version``, the version of its run."""
DETECTION_SCORE_GRAPH = "detection_score.onnx"
DETECTION_SCORE = "detection_score.json"
"""The result of `infmap-train detection-score`: ``graph_sha256``, the ``rule``, its operating points, the
``temperature`` that they were measured at, figures, and ``spec_version``, the version of its run."""
SEVERITY_NOISE = "severity_noise.json"
"""The result of `infmap-train severity-noise`: ``severity_noise`` as the served model states it, figures, the
``threshold`` and ``temperature`` that they were measured at, and ``spec_version``, the version of its run."""
METRICS = "metrics.json"
MODEL_CARD = "MODEL_CARD.md"
GATE_IMAGES = "gate_images.json"
"""Names radiographs that the network was not trained on, for an engine to be proved on."""
FINDING = "finding.toml"
"""The finding of the network; a run without it finds COVID-19 infection."""


class RunFolder:
    """A finished training on disk."""

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

    def fitted(self, name: str, graph: str | None = None) -> dict[str, Any] | None:
        """A document that was fitted to this very run, and names its graph; ``None`` where it is missing.

        Raises
        ------
        ExportError
            When it is another run's, or it or its graph was altered.
        """
        path = self.optional(name)
        if path is None:
            return None
        document = read_json(path)
        if document.get("spec_version") != self.spec.version:
            raise ExportError(
                f"{path} was made for version {document.get('spec_version')!r}, and this run is "
                f"{self.spec.version!r}: make it again, or take the file away"
            )
        if graph is None:
            return document
        if self.optional(graph) is None or document.get("graph_sha256") != self.sha256(graph):
            raise ExportError(
                f"{self.path / graph} is not the graph that {path} names: make both again"
            )
        return document

    def finding(self) -> FindingSpec:
        """The finding of the network.

        Raises
        ------
        SpecError
            When the file is not the one that the record names, or no finding.
        """
        path, expected = self.path / FINDING, self.spec.files.get(FINDING)
        actual = self.sha256(FINDING) if path.is_file() else None
        if actual != expected:
            # A file that the record does not name is refused, too: results would go by the wrong name.
            if expected is None:
                raise SpecError(
                    f"the network was trained without {path}: train with `infmap-train fit --finding`, or take "
                    "the file out of the run folder"
                )
            raise SpecError(
                f"expected {path} to be the file that {SPEC} names (SHA-256 {expected[:12]}), "
                f"found {(actual or 'none')[:12]}: take the run folder whole"
            )
        return COVID_19 if actual is None else FindingSpec.read(path)

    def sha256(self, name: str) -> str:
        """SHA-256 of a file; computed once."""
        if name not in self._hashes:
            self._hashes[name] = sha256_of(self.path / name)
        return self._hashes[name]

    def _altered(self, name: str) -> ExportError:
        return ExportError(
            f"{self.path / name} is not what {SPEC} names (SHA-256 differs): take the run folder whole"
        )
