"""`infmap-kit infer`: from files to infection maps, JSON and DICOM; one file's fault is never another's."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from infmap_kit.answer.finding import Finding, encode_png
from infmap_kit.answer.severity import Grades, by_lung, by_threshold, severity_at
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.colour import infection_map
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.imaging.readers import decode_radiograph, read_content
from infmap_kit.model.contract import (
    ACTIVATION_MAP,
    CLASSIFIER_PROBABILITY,
    DETECTED,
    INFECTION_MAP,
    LUNG_OUTPUTS,
    LUNG_SEVERITY,
    LUNGS,
    PROBABILITY,
    SEVERITY,
    SEVERITY_AT,
    SEVERITY_OF_LUNGS,
    ZONE_SEVERITY,
)
from infmap_kit.model.finding import FindingSpec
from infmap_kit.results.folder import CAM, Outcome, ResultOptions, ResultsFolder
from infmap_kit.triton.client import InfmapClient

__all__ = ["encode_png", "find_infection", "finding_of", "infer_files"]

_MAP = INFECTION_MAP.name
_FIGURES = (DETECTED.name, SEVERITY.name, PROBABILITY.name)
_WHERE_SERVED = tuple(tensor.name for tensor in (*LUNG_OUTPUTS, CLASSIFIER_PROBABILITY))


def find_infection(
    radiograph: Radiograph,
    client: InfmapClient,
    *,
    painted: bool = True,
    explained: bool = False,
) -> Finding:
    """Ask the server about one radiograph; nothing but its pixels leaves this process.

    Parameters
    ----------
    radiograph
        What to ask about.
    client
        The server; the finding names the very model that answered, whatever is served before and after.
    painted
        Whether to ask for the map, at the radiograph's own size; it takes longest.
    explained
        Whether to ask where a classifier looked, too, if one is served.

    Raises
    ------
    ServerError
        When the server does not answer.
    """
    started = time.perf_counter()
    image = network_input(radiograph.pixels)
    resized = time.perf_counter()
    answer = client.infer(
        image,
        radiograph.pixels if painted else None,
        outputs=(*_FIGURES, _MAP) if painted else _FIGURES,
        where_served=(*_WHERE_SERVED, ACTIVATION_MAP.name) if explained else _WHERE_SERVED,
    )
    served = time.perf_counter()
    finding = finding_of(
        answer,
        client.model(),
        {"resize": 1e3 * (resized - started), "served": 1e3 * (served - resized)},
    )
    if ACTIVATION_MAP.name not in answer:
        return finding
    table = finding.finding.colour_table
    looked_at = infection_map(radiograph.pixels, answer[ACTIVATION_MAP.name], table)
    return dataclasses.replace(finding, activation_map=looked_at)


def finding_of(
    answer: Mapping[str, NDArray[Any]], model: dict[str, str], timings_ms: dict[str, float]
) -> Finding:
    """What a server's answer says of one radiograph.

    Parameters
    ----------
    answer
        Output name to array, without the batch dimension.
    model
        Identity of the model that answered.
    timings_ms
        Milliseconds by stage.
    """
    severity_percent, probability = float(answer[SEVERITY.name]), answer[PROBABILITY.name]
    common: dict[str, Any] = {
        "detected": bool(answer[DETECTED.name]),
        "severity_percent": severity_percent,
        "probability_max": float(probability.max()),
        "probability": probability,
        "infection_map": answer.get(_MAP),
        "model": model,
        "timings_ms": timings_ms,
        "classifier_probability": float(answer[CLASSIFIER_PROBABILITY.name])
        if CLASSIFIER_PROBABILITY.name in answer
        else None,
    }
    if LUNGS.name not in answer:
        return Finding(**common, severity_at=by_threshold(severity_at(probability)))
    of_lungs = bool(answer[SEVERITY_OF_LUNGS.name])
    grades = Grades.parse(model["grades"]) if "grades" in model else Grades()
    return Finding(
        **common,
        severity_of="lungs" if of_lungs else "image",
        severity_at=by_threshold(answer[SEVERITY_AT.name]),
        lungs=answer[LUNGS.name],
        by_lung=by_lung(answer[LUNG_SEVERITY.name], answer[ZONE_SEVERITY.name]),
        grade=grades.of(severity_percent) if of_lungs else None,
    )


def infer_files(
    files: Sequence[Path],
    output: Path,
    *,
    url: str,
    options: ResultOptions | None = None,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Write what was asked for about every file that is a radiograph.

    Parameters
    ----------
    files
        Pictures; whatever cannot be used is rejected by name and the others go on.
    output
        Folder for the results, made when it is missing.
    url
        The server's gRPC endpoint.
    options
        What to write; a map and a JSON when not given.
    on_outcome
        Called after each file.

    Returns
    -------
    list
        One outcome for each file, in order.

    Raises
    ------
    ServerError
        When the server does not answer; what was written until then is whole.
    InfmapError
        When the output folder cannot be written.
    MissingDependency
        When DICOM is asked for and highdicom is not installed.
    """
    outcomes = []
    with InfmapClient(url) as client:
        # Before any file is read: nobody needs to wait for a server that is not there.
        finding = FindingSpec.from_parameters(client.model())
        results = ResultsFolder(output, options or ResultOptions(), finding=finding)
        for source in files:
            outcome = _infer_file(source, results, client)
            outcomes.append(outcome)
            on_outcome(outcome)
    return outcomes


def _infer_file(source: Path, results: ResultsFolder, client: InfmapClient) -> Outcome:
    started = time.perf_counter()
    content = b""
    try:
        content = read_content(source)
        radiograph = decode_radiograph(
            content,
            source.name,
            secondary_capture=results.options.secondary_capture,
            file=str(source),
        )
    except InputRejected as rejection:
        return results.write_rejection(source, content, rejection)
    decode_ms = 1e3 * (time.perf_counter() - started)
    finding = find_infection(
        radiograph,
        client,
        painted=results.options.painted,
        explained=CAM in results.options.formats,
    )
    return results.write_finding(source, radiograph, finding.after(decode=decode_ms))
