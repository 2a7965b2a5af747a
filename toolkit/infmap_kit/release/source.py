"""What is exported: a run folder, an ONNX file, or a Keras model that is converted first; and lungs."""

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

from infmap_kit.answer.severity import Grades
from infmap_kit.errors import ExportError, MissingDependency
from infmap_kit.graphs.preparation import prepare_classifier, prepare_segmentation, read_graph
from infmap_kit.graphs.temperature import read_temperature, with_temperature
from infmap_kit.model.contract import LUNG_SEGMENTATION, SEGMENTATION, Contract
from infmap_kit.model.contract import Graph as Network
from infmap_kit.model.files import sha256_of
from infmap_kit.model.spec import Anatomy, ClassifierSpec, ModelSpec

SPEC = "spec.json"
GRAPH = "segmentation.onnx"
CLASSIFIER_GRAPH = "classifier.onnx"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A trained network, ready to be exported.

    Parameters
    ----------
    segmentation
        Its graph, prepared to stand behind the ensemble, calibrated where the run is.
    identity
        Name, version, network, provenance: goes into the manifest and into every result.
    small_graphs
        Detection and rendering by name, where they came with it; else they are made.
    trained
        The graph before it was calibrated, where it was: the reference calibrates by formula.
    temperature
        That ``trained`` is calibrated with.
    lungs
        The graph of the lungs' network, where lungs are to be served; ``identity["lungs"]`` says of which.
    classifier
        The graph of a classifier, where its opinion is to be served; ``identity["classifier"]`` likewise.
    """

    segmentation: onnx.ModelProto
    identity: dict[str, Any]
    small_graphs: dict[str, onnx.ModelProto] = dataclasses.field(default_factory=dict)
    trained: onnx.ModelProto | None = None
    temperature: float = 1.0
    lungs: onnx.ModelProto | None = None
    classifier: onnx.ModelProto | None = None

    @property
    def contract(self) -> Contract:
        """What is served of it."""
        return Contract(lungs=self.lungs is not None, classifier=self.classifier is not None)

    @property
    def networks(self) -> dict[str, onnx.ModelProto]:
        """The segmenting networks' graphs by name."""
        lungs = {LUNG_SEGMENTATION.name: self.lungs} if self.lungs is not None else {}
        return {SEGMENTATION.name: self.segmentation, **lungs}

    def with_networks(self, networks: Mapping[str, onnx.ModelProto]) -> Source:
        """The same with other graphs for its networks, as by another precision."""
        return dataclasses.replace(
            self,
            segmentation=networks[SEGMENTATION.name],
            lungs=networks.get(LUNG_SEGMENTATION.name),
        )


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
    if path.is_dir() and (path / SPEC).is_file():
        return _from_run(path)
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
    *,
    lungs: Path | None = None,
    grades: str | None = None,
    classifier: Path | None = None,
) -> Source:
    """Serve further networks beside a network.

    Parameters
    ----------
    source
        The infection's network.
    lungs
        Run folder of a network that was trained on lung masks (`infmap-train fit --anatomy lungs`).
    grades
        Cut-offs of the grades, such as ``0,25,50``; the usual ones when not given.
    classifier
        Run folder of a classifier (`infmap-train classify`).

    Raises
    ------
    ExportError
        When a run was trained on something else.
    SpecError
        When the cut-offs are none.
    """
    if classifier is not None:
        source = _with_classifier(source, classifier)
    if lungs is None:
        if grades is not None:
            raise ExportError("--grades are of the severity of the lungs: give --lungs too")
        return source
    cut_offs = Grades.parse(grades) if grades is not None else Grades()
    network = _lung_network(lungs)
    return replace_lungs(source, network.segmentation, network.identity, cut_offs)


def _with_classifier(source: Source, run: Path) -> Source:
    if not (run / SPEC).is_file():
        raise ExportError(
            f"expected the run folder of a classifier (with {SPEC}) after --classifier, found {run}"
        )
    spec = ModelSpec.read(run / SPEC)
    if not isinstance(spec.network, ClassifierSpec):
        raise ExportError(
            f"{run} holds {spec.name}, which segments, and --classifier takes a classifier: train one with "
            "`infmap-train classify`"
        )
    path = _checked_graph(run, spec, CLASSIFIER_GRAPH)
    identity = {**identity_of(spec), "onnx_sha256": sha256_of(path)}
    return dataclasses.replace(
        source,
        classifier=prepare_classifier(read_graph(path)),
        identity={**source.identity, "classifier": identity},
    )


def _lung_network(run: Path) -> Source:
    if not (run / SPEC).is_file():
        raise ExportError(
            f"expected the run folder of a lung network (with {SPEC}) after --lungs, found {run}"
        )
    spec = ModelSpec.read(run / SPEC)
    if spec.anatomy is not Anatomy.LUNGS:
        raise ExportError(
            f"{run} was trained on {spec.anatomy}, and --lungs takes a network of the lungs: train one with "
            "`infmap-train fit --anatomy lungs`"
        )
    return _checked_run(run, spec, LUNG_SEGMENTATION)


def replace_lungs(
    source: Source, graph: onnx.ModelProto, identity: Mapping[str, Any], grades: Grades
) -> Source:
    """A source with a lung network whose graph and identity are at hand."""
    told = {**identity, "grades": str(grades)}
    return dataclasses.replace(source, lungs=graph, identity={**source.identity, "lungs": told})


def _from_run(run: Path) -> Source:
    spec = ModelSpec.read(run / SPEC)
    if isinstance(spec.network, ClassifierSpec):
        raise ExportError(
            f"{run} holds a classifier ({spec.network.encoder}), which says whether and not where: export the "
            "run of a segmentation network, and add this one with --classifier"
        )
    if spec.anatomy is Anatomy.LUNGS:
        raise ExportError(
            f"{run} is a network of the lungs, which says nothing of infection: export the infection's run, "
            f"and give this one as --lungs {run}"
        )
    return _checked_run(run, spec, SEGMENTATION)


def _checked_run(run: Path, spec: ModelSpec, network: Network) -> Source:
    graph = _checked_graph(run, spec, GRAPH)
    source = _from_onnx(graph, identity_of(spec), network)
    temperature = read_temperature(run, spec)
    if temperature == 1:
        return source
    return dataclasses.replace(
        source,
        segmentation=with_temperature(source.segmentation, temperature),
        trained=source.segmentation,
        temperature=temperature,
        identity={**source.identity, "temperature": temperature},
    )


def _checked_graph(run: Path, spec: ModelSpec, name: str) -> Path:
    graph = run / name
    if not graph.is_file():
        raise ExportError(f"{run} has no {name}: let `infmap-train` end, or convert it again")
    if spec.files.get(name) != sha256_of(graph):
        raise ExportError(
            f"{graph} is not what {SPEC} names (SHA-256 differs): take the run folder whole"
        )
    return graph


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


def _from_onnx(path: Path, identity: dict[str, Any], network: Network = SEGMENTATION) -> Source:
    segmentation = prepare_segmentation(read_graph(path), network)
    return Source(segmentation=segmentation, identity={**identity, "onnx_sha256": sha256_of(path)})


def _from_keras(path: Path, encoder: str | None) -> Source:
    """Convert in a process of its own: TensorFlow never enters this one."""
    if importlib.util.find_spec("tensorflow") is None:
        raise MissingDependency(
            f"{path.name} is a Keras model, and TensorFlow is not installed here: export it on the training "
            "machine, or pip install 'infmap-kit[train]'"
        )
    options = ["--encoder", encoder] if encoder else []
    with tempfile.TemporaryDirectory(prefix="infmap-kit-") as scratch:
        target = Path(scratch) / GRAPH
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
