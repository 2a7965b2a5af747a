"""Bundles: everything that a host needs to build, prove and serve a model, in one file and with no network.

::

    bundle.json        what it is, and the SHA-256 of each file
    spec.json          the run folder's
    metrics.json       figures on the held-back part, if the run has them
    finding.toml       what the network finds, if that is not COVID-19 infection
    severity_noise.json  how far its severity goes by itself, if the run says so
    MODEL_CARD.md      the run's, or a short one
    graphs/            segmentation, detection, rendering and summary as they will be served
    gate/NNN.png       what the engine is proved on: 224x224, without names
    expected/NNN.png   the trained network's prediction: probabilities in 65536 steps
    lungs/spec.json    the lungs' run, where lungs are served; their network is among the graphs
    lungs/NNN.png      the predicted lungs: 0 or 255
    classifier/        a classifier's run, where one is served: spec.json, NNN.json with its probability,
                       NNN.png with its activation map
    familiarity/       where the run has one: spec.json, which is the run's own, and NNN.json with its value
"""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import infmap_kit
from infmap_kit.errors import BundleError, SpecError
from infmap_kit.gate.pictures import Pictures
from infmap_kit.gate.runners import Prediction, RecordedRunner
from infmap_kit.graphs.preparation import prepare_segmentation, read_graph
from infmap_kit.model.files import parse_json
from infmap_kit.model.finding import COVID_19, FindingSpec
from infmap_kit.model.paint import DEFAULT_PAINT, Paint, paint_of
from infmap_kit.model.run_folder import (
    FINDING,
    METRICS,
    MODEL_CARD,
    SEVERITY_NOISE,
    SPEC,
    RunFolder,
)
from infmap_kit.model.spec import ModelSpec
from infmap_kit.model.tensors import RENDERING, SUMMARY
from infmap_kit.parts.contract import Contract
from infmap_kit.parts.part import Part
from infmap_kit.parts.recording import Recording, packed, packed_probability
from infmap_kit.parts.registry import INFECTION, find_part
from infmap_kit.progress import Progress, no_progress
from infmap_kit.release.archive import Verify, write_archive
from infmap_kit.release.contents import (
    BUNDLE,
    SCHEMA,
    BundleRecord,
    Contents,
    read_contents,
    read_spec,
)
from infmap_kit.release.publish import graphs_of, reference_runner
from infmap_kit.release.source import (
    Origin,
    Source,
    identity_of,
    read_run,
    with_finding,
    with_parts,
    with_severity_noise,
)
from infmap_kit.text import json_bytes

_OPTIONAL = (MODEL_CARD, METRICS, FINDING, SEVERITY_NOISE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bundle(Origin):
    """A bundle that was checked, with its ``bundle.json``; its reference was recorded elsewhere."""

    record: BundleRecord


def write_bundle(
    run: Path,
    path: Path,
    *,
    pictures: Pictures,
    parts: Mapping[str, Path | None] | None = None,
    settings: Mapping[str, str | None] | None = None,
    paint: Paint = DEFAULT_PAINT,
    sign: Callable[[bytes], bytes] | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Pack a run folder.

    Parameters
    ----------
    run
        The run folder.
    path
        File to write.
    pictures
        Names and (224, 224) uint8; the names stay here, since they may be patients'.
    parts, settings
        As :func:`~infmap_kit.release.source.with_parts` takes them.
    paint
        Way to paint maps.
    sign
        Makes the signature of a SHA-256 digest.
    progress
        Called for each picture.

    Returns
    -------
    dict
        ``bundle.json``, with the file's checksum.

    Raises
    ------
    SpecError
        When ``run`` is no run folder.
    BundleError
        When the file cannot be written.
    """
    folder = RunFolder(run)
    if not folder.exists:
        raise SpecError(
            f"{run} is no run folder (it has no {SPEC}): bundle what `infmap-train fit` made"
        )
    source = dataclasses.replace(with_parts(read_run(folder), parts, settings), paint=paint)
    spec = folder.spec
    optional = {name: folder.optional(name) for name in _OPTIONAL}
    runs = {part.name: run for part in source.contract.optional if not part.has_own_run}
    runs |= {name: path for name, path in (parts or {}).items() if path is not None}
    files = {
        SPEC: (run / SPEC).read_bytes(),
        MODEL_CARD: _model_card(spec).encode(),
        **{name: path.read_bytes() for name, path in optional.items() if path is not None},
        **{_spec_of(name): (path / SPEC).read_bytes() for name, path in runs.items()},
    }
    for name, graph in graphs_of(source).items():
        files[_graph(name)] = graph.SerializeToString(deterministic=True)
    runner = reference_runner(source)
    for number, (name, picture) in enumerate(pictures, start=1):
        answer = runner.predict(name, picture)
        if not answer.is_finite:
            raise BundleError(f"{run} gives NaN or infinity on {name}: the network is broken")
        files[f"gate/{number:04}.png"] = packed(picture)
        files[f"expected/{number:04}.png"] = packed_probability(answer.probability)
        for part, part_answer in answer.parts.items():
            by_suffix = find_part(part).pack(part_answer).items()
            files |= {f"{part}/{number:04}.{suffix}": content for suffix, content in by_suffix}
        progress("asking the trained network", number, len(pictures))
    record = BundleRecord(
        schema=SCHEMA,
        made_with=f"infmap-kit {infmap_kit.__version__}",
        name=spec.name,
        version=spec.version,
        onnx_sha256=source.identity["onnx_sha256"],
        pictures=len(pictures),
        files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        temperature=source.identity.get("temperature"),
        parts={name: source.identity[name] for name in source.contract.parts},
    ).as_document()
    document = json_bytes(record)
    checksum = write_archive(path, {BUNDLE: document, **files}, sign=sign)
    return {**record, "checksum": checksum}


def read_bundle(path: Path, *, verify: Verify = lambda *_: None) -> Bundle:
    """Check every file of a bundle and its signature, then read it.

    Raises
    ------
    BundleError
        When it is damaged, altered, or not signed as it must be.
    ExportError
        When a graph in it is none that may be served, or a network was trained on something else.
    """
    contents = read_contents(path, verify=verify)
    files, record, spec = contents.files, contents.record, contents.spec
    if (record.name, record.version) != (spec.name, spec.version):
        raise BundleError(f"{BUNDLE} in {path} names another network than {SPEC}: bundle it again")
    INFECTION.require(spec, path)
    # Bundles of before hold no summary, and one is made of nothing but the contract.
    contract = Contract(tuple(record.parts), summary=_graph(SUMMARY.name) in files)
    graphs = {graph.name: _read_graph(files, graph.name) for graph in contract.graphs}
    segmentation = prepare_segmentation(graphs.pop(INFECTION.graph.name), contract.segmentation)
    prepared = {part.name: part.prepare(graphs.pop(part.graph.name)) for part in contract.optional}
    finding = _finding(path, files, spec)
    pictures, predictions = _recorded(path, contents, contract, finding)
    reference = RecordedRunner(predictions, finding=finding)
    source = Source(
        segmentation=segmentation,
        identity={
            **identity_of(spec),
            "onnx_sha256": record.onnx_sha256,
            **({} if record.temperature is None else {"temperature": record.temperature}),
        },
        postprocessing=graphs,
        paint=paint_of(graphs[RENDERING.name]),
    )
    source = with_severity_noise(
        with_finding(source, finding),
        _severity_noise(path, files, spec),
        f"{SEVERITY_NOISE} in {path}",
    )
    for part in contract.optional:
        source = source.with_part(part, prepared[part.name], _part(path, files, record, part))
    return Bundle(source=source, pictures=pictures, reference=reference, record=record)


def _recorded(
    path: Path, contents: Contents, contract: Contract, finding: FindingSpec
) -> tuple[Pictures, dict[str, Prediction]]:
    """The pictures of a bundle, and what the trained networks predicted of them."""
    pictures: Pictures = []
    predictions: dict[str, Prediction] = {}
    for number in range(1, contents.record.pictures + 1):
        name, recording = f"gate-{number:04}", Recording(path, contents.files, number)
        pictures.append((name, recording.picture("gate", np.uint8)))
        probability = recording.probability("expected")
        parts = {
            part.name: part.unpack(recording, probability, finding) for part in contract.optional
        }
        predictions[name] = probability, parts
    if not pictures:
        raise BundleError(
            f"expected pictures in {path} to prove engines on, found none: bundle the run again"
        )
    return pictures, predictions


def _finding(path: Path, files: Mapping[str, bytes], spec: ModelSpec) -> FindingSpec:
    """The network's finding; the run's own record must name the very file."""
    content = files.get(FINDING)
    actual = None if content is None else hashlib.sha256(content).hexdigest()
    if actual != spec.files.get(FINDING):
        raise BundleError(f"{path} holds another {FINDING} than {SPEC} names: bundle the run again")
    return COVID_19 if content is None else FindingSpec.parse(content, f"{FINDING} in {path}")


def _severity_noise(
    path: Path, files: Mapping[str, bytes], spec: ModelSpec
) -> Mapping[str, Any] | None:
    """The run's record of its severity's noise, where it has one."""
    if SEVERITY_NOISE not in files:
        return None
    try:
        document = parse_json(files[SEVERITY_NOISE])
    except ValueError as error:
        raise BundleError(f"{SEVERITY_NOISE} in {path} is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("spec_version") != spec.version:
        raise BundleError(
            f"{SEVERITY_NOISE} in {path} is not of version {spec.version!r}: measure it again, and bundle"
        )
    return document


def _graph(name: str) -> str:
    return f"graphs/{name}.onnx"


def _spec_of(part: str) -> str:
    return f"{part}/{SPEC}"


def _part(
    path: Path, files: Mapping[str, bytes], record: BundleRecord, part: Part
) -> dict[str, Any]:
    """A part's identity by ``bundle.json``, once the part's own record agrees."""
    name, stated = _spec_of(part.name), record.parts[part.name]
    spec = read_spec(path, files, name)
    part.require(spec, path)
    expected = identity_of(spec)
    same = all(stated.get(key) == expected[key] for key in expected)
    if not same or not isinstance(stated.get("onnx_sha256"), str):
        raise BundleError(
            f"{BUNDLE} in {path} names another {part.name} than {name}: bundle it again"
        )
    part.identity({key: str(stated[key]) for key in part.settings if key in stated})
    return dict(stated)


def _read_graph(files: Mapping[str, bytes], name: str) -> onnx.ModelProto:
    content = files.get(_graph(name))
    if content is None:
        raise BundleError(f"the bundle lacks {_graph(name)}: bundle the run again")
    with tempfile.TemporaryDirectory(prefix="infmap-kit-") as folder:
        path = Path(folder, f"{name}.onnx")
        path.write_bytes(content)
        return read_graph(path)


def _model_card(spec: ModelSpec) -> str:
    """A short model card for a run that has none of its own."""
    return (
        f"# {spec.name} {spec.version}\n\n**For research use, not a medical device.**\n\n"
        f"- network: {spec.network.label}\n- licence of the training data: {spec.data_licence}\n"
        f"- fingerprint of the training data: {spec.dataset_fingerprint or 'not stated'}\n"
        "- figures on the held-back part: metrics.json\n"
    )
