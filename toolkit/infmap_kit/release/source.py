"""The sources of an export: a run folder, an ONNX file, or a Keras model that is converted first."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from infmap_kit.errors import ExportError, MissingDependency
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.gate.pictures import Pictures
from infmap_kit.gate.runners import Runner, require_probabilities
from infmap_kit.graphs.adapter.adapter import adapted, picture_size
from infmap_kit.graphs.familiarity import read_familiarity, with_features
from infmap_kit.graphs.preparation import read_graph
from infmap_kit.graphs.temperature import read_temperature, with_temperature
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.adapter import AS_IT_IS, ModelAdapter
from infmap_kit.model.files import sha256_of
from infmap_kit.model.finding import COVID_19, FindingSpec
from infmap_kit.model.paint import DEFAULT_PAINT, Paint
from infmap_kit.model.run_folder import (
    DETECTION_SCORE,
    DETECTION_SCORE_GRAPH,
    FINDING,
    SEGMENTATION_GRAPH,
    SEVERITY_NOISE,
    SPEC,
    RunFolder,
)
from infmap_kit.model.severity_noise import PARAMETER as NOISE
from infmap_kit.model.severity_noise import SeverityNoise
from infmap_kit.model.spec import IMAGE_SIZE, LONGEST_NAME, ModelSpec
from infmap_kit.parts.contract import Contract, features_of, image_size_of
from infmap_kit.parts.detection_score import AT_95_SENSITIVITY, AT_95_SPECIFICITY, RULE
from infmap_kit.parts.part import Part
from infmap_kit.parts.registry import INFECTION, find_part, optional_parts
from infmap_kit.sandbox import SandboxLimits, run_module_confined
from infmap_kit.text import one_line

DEFAULT_LIMITS = SandboxLimits()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A trained network, ready to be exported.

    Parameters
    ----------
    segmentation
        The infection's graph, prepared to stand behind the ensemble, calibrated where the run is.
    identity
        Name, version, network and provenance, for the manifest and every result.
    postprocessing
        Detection, rendering and summary by name, where they came with it; else they are made.
    trained
        The graph before it was calibrated, where it was: the reference calibrates by formula.
    temperature
        Divides the logits of ``trained``.
    parts
        The prepared graphs of the other parts, by the parts' names; ``identity`` says under the same names of
        which runs they are.
    finding
        Finding of the network. ``identity["finding"]`` has its differences from COVID-19 infection.
    paint
        Way to paint maps. If the source brought its rendering graph, the way that the graph states.
    """

    segmentation: onnx.ModelProto
    identity: dict[str, Any]
    postprocessing: dict[str, onnx.ModelProto] = dataclasses.field(default_factory=dict)
    trained: onnx.ModelProto | None = None
    temperature: float = 1.0
    parts: Mapping[str, onnx.ModelProto] = dataclasses.field(default_factory=dict)
    finding: FindingSpec = COVID_19
    paint: Paint = DEFAULT_PAINT

    @property
    def contract(self) -> Contract:
        """The tensors that are served."""
        size, features = image_size_of(self.segmentation), features_of(self.segmentation)
        return Contract(tuple(self.parts), size, self.paint, features, summary=True)

    @property
    def record(self) -> dict[str, Any]:
        """``identity``, with how maps are painted."""
        stated = self.paint.as_parameters()
        return {**self.identity, **({"paint": stated} if stated else {})}

    def with_part(self, part: Part, graph: onnx.ModelProto, identity: Mapping[str, Any]) -> Source:
        """The same with one more part, whose graph and identity are at hand."""
        return dataclasses.replace(
            self,
            parts={**self.parts, part.name: graph},
            identity={**self.identity, part.name: dict(identity)},
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origin:
    """The reference that engines are compared with.

    Parameters
    ----------
    source
        The trained network.
    pictures
        Name and network input of the pictures that are compared.
    reference
        The trained network's runner.
    """

    source: Source
    pictures: Pictures
    reference: Runner


def read_source(
    path: Path,
    *,
    encoder: str | None = None,
    adapter: ModelAdapter = AS_IT_IS,
    limits: SandboxLimits = DEFAULT_LIMITS,
) -> Source:
    """Read a source of any kind.

    Parameters
    ----------
    path
        A run folder, an ONNX file, or a Keras model.
    encoder
        The encoder whose normalisation a Keras model expects, where no ``spec.json`` beside it says so.
    adapter
        Pixels and outputs of another framework's network, if they differ from those that are served.
    limits
        Limits of the process that converts a Keras model.

    Raises
    ------
    ExportError
        When it is none of the kinds, or a file is not the one whose hash the run folder names.
    MissingDependency
        When a Keras model is given and TensorFlow is not installed.
    """
    run = RunFolder(path)
    if encoder is not None and (run.exists or path.suffix == ".onnx"):
        raise ExportError(f"expected no --encoder: {path} states its own, a Keras model may not")
    if run.exists:
        if adapter != AS_IT_IS:
            raise ExportError(
                f"{path} is a run folder, whose network takes and answers what is served: leave the adapter's "
                "options (--scale, --activation, --size and their like) out"
            )
        return read_run(run)
    if path.suffix == ".onnx":
        return _from_onnx(path, path.stem, adapter)
    if path.suffix in (".keras", ".h5") or (path / "saved_model.pb").is_file():
        return _from_keras(path, encoder, adapter, limits)
    if not path.exists():
        raise ExportError(f"{path} does not exist")
    raise ExportError(
        f"expected a run folder (with {SPEC}), .onnx, .keras, .h5 or a SavedModel folder, found {path}"
    )


def read_run(run: RunFolder) -> Source:
    """Read the infection's network of a run folder; errors are those of :func:`read_source`."""
    source = _with_detection_score(_with_familiarity(_from_run(run, INFECTION), run), run)
    source = with_finding(source, run.finding())
    return with_severity_noise(source, run.fitted(SEVERITY_NOISE), str(run.path / SEVERITY_NOISE))


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
        Run folders by the parts' names; a part without one is not served.
    settings
        The parts' settings by name, such as ``grades``; ``None`` is the default.

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
        if part not in runs:
            if own:
                raise ExportError(
                    f"--{next(iter(own))} {part.settings_note}: give {part.option} too"
                )
            continue
        run = RunFolder(runs[part])
        if not run.exists:
            raise ExportError(
                f"expected the run folder of {part.noun} (with {SPEC}) after {part.option}, found {run.path}"
            )
        if (size := source.contract.image_size) != IMAGE_SIZE:
            raise ExportError(
                f"expected a network of {IMAGE_SIZE}x{IMAGE_SIZE} pixels, the size that {part.noun} takes, "
                f"found one of {size}x{size}: leave {part.option} out"
            )
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
    """The same source with the finding that its network looks for."""
    parameters = finding.as_parameters()
    identity = {**source.identity, **({"finding": parameters} if parameters else {})}
    return dataclasses.replace(source, finding=finding, identity=identity)


def with_severity_noise(source: Source, document: Mapping[str, Any] | None, where: str) -> Source:
    """The same source, stating the noise of its severity where there is a ``severity_noise.json``."""
    if document is None:
        return source
    threshold, temperature = source.finding.threshold, source.identity.get("temperature", 1.0)
    noise = SeverityNoise.of_document(document, where, threshold=threshold, temperature=temperature)
    return dataclasses.replace(source, identity={**source.identity, NOISE: str(noise)})


def _from_run(run: RunFolder, part: Part) -> Source:
    part.require(run.spec, run.path)
    prepared = part.prepare(read_graph(run.graph(part.graph_file)))
    identity = {**identity_of(run.spec), "onnx_sha256": run.sha256(part.graph_file)}
    source = Source(segmentation=prepared, identity=identity)
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


def _with_familiarity(source: Source, run: RunFolder) -> Source:
    fitted = read_familiarity(run)
    if fitted is None:
        return source
    part = find_part("familiarity")
    part.require(run.spec, run.path)
    shown = dataclasses.replace(
        source,
        segmentation=with_features(source.segmentation, fitted.tensor),
        trained=source.trained and with_features(source.trained, fitted.tensor),
    )
    identity = {**identity_of(run.spec), "onnx_sha256": fitted.sha256}
    graph = part.prepare(fitted.graph)
    if features_of(graph) != features_of(shown.segmentation):
        raise ExportError(
            f"expected {features_of(shown.segmentation)} features in {run.path / part.graph_file}, as the "
            f"network has, found {features_of(graph)}: fit it again"
        )
    return shown.with_part(part, graph, identity)


def _with_detection_score(source: Source, run: RunFolder) -> Source:
    document = run.fitted(DETECTION_SCORE, DETECTION_SCORE_GRAPH)
    if document is None:
        return source
    part = find_part("detection_score")
    part.require(run.spec, run.path)
    path = run.path / DETECTION_SCORE
    if document.get("temperature") != source.temperature:
        raise ExportError(
            f"expected {path} to be made at the run's temperature, {source.temperature:g}, found "
            f"{document.get('temperature')!r:.20}: make it again after calibrating"
        )
    points = document.get("operating_points")
    if not isinstance(points, dict):
        raise ExportError(f"expected operating_points in {path}: make it again")
    settings = {RULE: str(document.get("rule"))} | {
        name: str(points.get(name.removeprefix("score_")))
        for name in (AT_95_SENSITIVITY, AT_95_SPECIFICITY)
    }
    identity = {**identity_of(run.spec), "onnx_sha256": run.sha256(DETECTION_SCORE_GRAPH)}
    graph = part.prepare(read_graph(run.path / DETECTION_SCORE_GRAPH))
    return source.with_part(part, graph, {**identity, **part.identity(settings)})


def identity_of(spec: ModelSpec) -> dict[str, Any]:
    """The identity of a trained model, for a manifest."""
    return {
        "name": spec.name,
        "version": spec.version,
        "network": dataclasses.asdict(spec.network),
        "data_licence": spec.data_licence,
        "dataset_fingerprint": spec.dataset_fingerprint,
        "metrics": spec.metrics,
    }


def _from_onnx(path: Path, name: str, adapter: ModelAdapter) -> Source:
    graph, around = adapted(read_graph(path), adapter)
    size = picture_size(graph)
    segmentation = INFECTION.prepare(graph, size)
    _try_out(segmentation, size)
    identity = {
        "name": one_line(name)[:LONGEST_NAME],
        "version": "unversioned",
        "onnx_sha256": sha256_of(path),
        **({"image_size": size} if size != IMAGE_SIZE else {}),
        **({"adapter": around} if around else {}),
    }
    return Source(segmentation=segmentation, identity=identity)


def _try_out(segmentation: onnx.ModelProto, size: int) -> None:
    """Ask about one picture, whose answer shows what a graph does not state.

    Raises
    ------
    ExportError
        When the graph cannot be computed, or answers other than a probability for each pixel.
    """
    drawn = synthetic_radiograph(0, height=256, width=256).radiograph
    picture = network_input(drawn.pixels, size)
    probability = OnnxRuntimeEngine(segmentation.SerializeToString()).infer(picture[np.newaxis])
    if probability.shape != (1, size, size):
        raise ExportError(
            f"expected an answer of shape (1, {size}, {size}) for a picture of {size}x{size}, found "
            f"{probability.shape}: export the network with its upsampling and with an open first dimension"
        )
    require_probabilities(probability)


def _from_keras(
    path: Path, encoder: str | None, adapter: ModelAdapter, limits: SandboxLimits
) -> Source:
    """Convert in a process of its own, which is confined: TensorFlow never enters this one."""
    if importlib.util.find_spec("tensorflow") is None:
        raise MissingDependency(
            f"{path.name} is a Keras model, and TensorFlow is not installed here: export it on the training "
            "machine, or pip install 'infmap-kit[train]'"
        )
    if encoder and adapter.feeds:
        feeds = ", ".join(f"--{name}" for name in adapter.feeds)
        raise ExportError(
            f"expected --encoder, whose normalisation is known, or {feeds}, found both: leave one out"
        )
    options = ["--encoder", encoder] if encoder else []
    options += ["--size", str(adapter.size)] if adapter.size else []
    options += ["--raw"] if adapter.feeds else []
    with tempfile.TemporaryDirectory(prefix="infmap-kit-") as scratch:
        target = Path(scratch) / SEGMENTATION_GRAPH
        result = run_module_confined(
            "infmap_train.training.convert",
            [str(path), str(target), *options],
            what=f"the conversion of {path}",
            limits=limits,
            readable=[path, path.parent / SPEC],
            writable=[target.parent],
        )
        if result.returncode:
            reason = (result.stderr.strip().splitlines() or ["the converter gave no reason"])[-1]
            raise ExportError(reason.removeprefix("error: "))
        converted = json.loads(result.stdout.splitlines()[-1])
        source = _from_onnx(target, path.stem, adapter)
    if known := converted.get("encoder"):
        source.identity["encoder"] = known
    return source
