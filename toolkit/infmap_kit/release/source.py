"""What is exported: a run folder, an ONNX file, or a Keras model that is converted first; and further parts."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from infmap_kit.errors import ExportError, MissingDependency
from infmap_kit.graphs.preparation import read_graph
from infmap_kit.graphs.temperature import read_temperature, with_temperature
from infmap_kit.model.files import sha256_of
from infmap_kit.model.finding import COVID_19, FindingSpec
from infmap_kit.model.run_folder import FINDING, SEGMENTATION_GRAPH, SPEC, RunFolder
from infmap_kit.model.spec import ModelSpec
from infmap_kit.model.tensors import SEGMENTATION
from infmap_kit.parts.contract import Contract
from infmap_kit.parts.part import Part
from infmap_kit.parts.registry import INFECTION, find_part, optional_parts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A trained network, ready to be exported.

    Parameters
    ----------
    segmentation
        The infection's graph, prepared to stand behind the ensemble, calibrated where the run is.
    identity
        Name, version, network, provenance: goes into the manifest and into every result.
    postprocessing
        Detection and rendering by name, where they came with it; else they are made.
    trained
        The graph before it was calibrated, where it was: the reference calibrates by formula.
    temperature
        Divides the logits of ``trained``.
    parts
        The prepared graphs of the other parts, by the parts' names; ``identity`` says under the same names of
        which runs they are.
    finding
        What the network finds; ``identity["finding"]`` says in what it differs from COVID-19 infection.
    """

    segmentation: onnx.ModelProto
    identity: dict[str, Any]
    postprocessing: dict[str, onnx.ModelProto] = dataclasses.field(default_factory=dict)
    trained: onnx.ModelProto | None = None
    temperature: float = 1.0
    parts: Mapping[str, onnx.ModelProto] = dataclasses.field(default_factory=dict)
    finding: FindingSpec = COVID_19

    @property
    def contract(self) -> Contract:
        """What is served of it."""
        return Contract(tuple(self.parts))

    @property
    def networks(self) -> dict[str, onnx.ModelProto]:
        """The graphs that compute in the precision that is asked for, by the graphs' names."""
        return {
            SEGMENTATION.name: self.segmentation,
            **{part.graph.name: graph for part, graph in self._parts() if part.is_lowered},
        }

    @property
    def fp32_networks(self) -> dict[str, onnx.ModelProto]:
        """The graphs that always compute in FP32, by the graphs' names."""
        return {part.graph.name: graph for part, graph in self._parts() if not part.is_lowered}

    def with_networks(self, networks: Mapping[str, onnx.ModelProto]) -> Source:
        """The same with other graphs for its networks, as by another precision."""
        replaced = {
            part.name: networks.get(part.graph.name, graph) for part, graph in self._parts()
        }
        return dataclasses.replace(self, segmentation=networks[SEGMENTATION.name], parts=replaced)

    def with_part(self, part: Part, graph: onnx.ModelProto, identity: Mapping[str, Any]) -> Source:
        """The same with one more part, whose graph and identity are at hand."""
        return dataclasses.replace(
            self,
            parts={**self.parts, part.name: graph},
            identity={**self.identity, part.name: dict(identity)},
        )

    def _parts(self) -> list[tuple[Part, onnx.ModelProto]]:
        return [(part, self.parts[part.name]) for part in self.contract.optional]


def read_source(path: Path, *, encoder: str | None = None) -> Source:
    """Read whatever ``export`` was given.

    Parameters
    ----------
    path
        A run folder, an ONNX file, or a Keras model.
    encoder
        Whose normalisation a Keras model wants, where no ``spec.json`` beside it says so.

    Raises
    ------
    ExportError
        When it is none of the kinds, or a file is not the one whose hash the run folder names.
    MissingDependency
        When a Keras model is given and TensorFlow is not installed.
    """
    run = RunFolder(path)
    if path.is_dir() and run.exists:
        return with_finding(_from_run(run, INFECTION), run.finding())
    if path.suffix == ".onnx":
        return _from_onnx(path, {"name": path.stem, "version": "unversioned"})
    if path.suffix in (".keras", ".h5") or (path / "saved_model.pb").is_file():
        return _from_keras(path, encoder)
    if not path.exists():
        raise ExportError(f"{path} does not exist")
    raise ExportError(
        f"expected a run folder (with {SPEC}), .onnx, .keras, .h5 or a SavedModel folder, found {path}"
    )


def with_parts(
    source: Source,
    parts: Mapping[str, Path | None] | None = None,
    settings: Mapping[str, str | None] | None = None,
) -> Source:
    """Serve further networks beside a network.

    Parameters
    ----------
    source
        The infection's network.
    parts
        Run folders by the parts' names; what is ``None`` is not served.
    settings
        The parts' settings by name, such as ``grades``; what is ``None`` is as usual.

    Raises
    ------
    ExportError
        When a run was trained on something else, or a setting's part is not served.
    SpecError
        When a setting is not as it must be, or there is no such part.
    """
    runs = {find_part(name): run for name, run in (parts or {}).items() if run is not None}
    given = {name: value for name, value in (settings or {}).items() if value is not None}
    for part in optional_parts():
        own = {name: given[name] for name in part.settings if name in given}
        if part not in runs and own:
            raise ExportError(
                f"--{next(iter(own))} are of the severity of the {part.name}: give {part.option} too"
            )
    for part in optional_parts():
        if part not in runs:
            continue
        run = RunFolder(runs[part])
        if not run.exists:
            raise ExportError(
                f"expected the run folder of {part.noun} (with {SPEC}) after {part.option}, found {run.path}"
            )
        own = {name: given[name] for name in part.settings if name in given}
        part.require(run.spec, run.path)
        finding = run.finding()
        if part.looks_for_the_finding and finding != source.finding:
            raise ExportError(
                f"expected {part.noun} of {source.finding.name}, as the network it is served beside, found one "
                f"of {finding.name} in {run.path}: both runs need the same {FINDING}"
            )
        network = _from_run(run, part)
        source = source.with_part(
            part, network.segmentation, {**network.identity, **part.identity(own)}
        )
    return source


def with_finding(source: Source, finding: FindingSpec) -> Source:
    """A source that says what it finds."""
    parameters = finding.as_parameters()
    identity = {**source.identity, **({"finding": parameters} if parameters else {})}
    return dataclasses.replace(source, finding=finding, identity=identity)


def _from_run(run: RunFolder, part: Part) -> Source:
    part.require(run.spec, run.path)
    graph = run.graph(part.graph_file)
    source = _from_onnx(graph, identity_of(run.spec), part, sha256=run.sha256(part.graph_file))
    temperature = read_temperature(run) if part.is_lowered else 1.0
    if temperature == 1:
        return source
    return dataclasses.replace(
        source,
        segmentation=with_temperature(source.segmentation, temperature),
        trained=source.segmentation,
        temperature=temperature,
        identity={**source.identity, "temperature": temperature},
    )


def identity_of(spec: ModelSpec) -> dict[str, Any]:
    """What a manifest says of a trained model."""
    return {
        "name": spec.name,
        "version": spec.version,
        "network": dataclasses.asdict(spec.network),
        "data_licence": spec.data_licence,
        "dataset_fingerprint": spec.dataset_fingerprint,
        "metrics": spec.metrics,
    }


def _from_onnx(
    path: Path, identity: dict[str, Any], part: Part = INFECTION, *, sha256: str = ""
) -> Source:
    prepared = part.prepare(read_graph(path))
    return Source(
        segmentation=prepared, identity={**identity, "onnx_sha256": sha256 or sha256_of(path)}
    )


def _from_keras(path: Path, encoder: str | None) -> Source:
    """Convert in a process of its own: TensorFlow never enters this one."""
    if importlib.util.find_spec("tensorflow") is None:
        raise MissingDependency(
            f"{path.name} is a Keras model, and TensorFlow is not installed here: export it on the training "
            "machine, or pip install 'infmap-kit[train]'"
        )
    options = ["--encoder", encoder] if encoder else []
    with tempfile.TemporaryDirectory(prefix="infmap-kit-") as scratch:
        target = Path(scratch) / SEGMENTATION_GRAPH
        result = subprocess.run(  # noqa: S603  # our own module in our own interpreter
            [
                sys.executable,
                "-m",
                "infmap_train.training.convert",
                str(path),
                str(target),
                *options,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            reason = (result.stderr.strip().splitlines() or ["the converter gave no reason"])[-1]
            raise ExportError(reason.removeprefix("error: "))
        converted = json.loads(result.stdout.splitlines()[-1])
        source = _from_onnx(target, {"name": path.stem, "version": "unversioned"})
    source.identity["encoder"] = converted.get("encoder")
    return source
