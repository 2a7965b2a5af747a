"""`infmap-kit infer`: from files to infection maps, JSON and DICOM; a file that fails stops no other."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from infmap_kit.answer.answer import Answer
from infmap_kit.errors import InputRejected, ServerError
from infmap_kit.imaging.colour import infection_map
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.imaging.readers import decode_radiograph, read_content
from infmap_kit.model.tensors import ACTIVATION_MAP, DETECTED, INFECTION_MAP, PROBABILITY, SEVERITY
from infmap_kit.parts.reading import read_answer
from infmap_kit.parts.registry import optional_parts
from infmap_kit.results.folder import CAM, Outcome, ResultOptions, ResultsFolder
from infmap_kit.triton.infmap_model import InfmapModel

_MAP = INFECTION_MAP.name
_FIGURES = (DETECTED.name, SEVERITY.name, PROBABILITY.name)


def find_infection(
    radiograph: Radiograph, client: InfmapModel, *, painted: bool = True, explained: bool = False
) -> Answer:
    """Ask a model about one radiograph; of what a server computes, nothing but the pixels leaves this process.

    Parameters
    ----------
    radiograph
        The radiograph.
    client
        A server's client, or engines in this process
        (:func:`~infmap_kit.targets.in_process.open_repository`); the answer names the very model that gave
        it, whatever is served before and after.
    painted
        Whether to ask for the map, at the radiograph's own size; it takes longest.
    explained
        Whether to ask where a classifier looked, too, if one is served.

    Raises
    ------
    ServerError
        When the server does not answer.
    ExportError
        When the engines of this process cannot compute.
    """
    image_size = client.image_size()
    while True:
        asked = time.perf_counter()
        image = network_input(radiograph.pixels, image_size)
        resized = time.perf_counter()
        try:
            outputs = client.infer(
                image,
                radiograph.pixels if painted else None,
                outputs=(*_FIGURES, _MAP) if painted else _FIGURES,
                where_served=[
                    tensor.name
                    for part in optional_parts()
                    for tensor in (part.outputs if explained else part.asked_outputs)
                ],
            )
            break
        except ServerError:
            # A release that takes pictures of another size may have been published meanwhile.
            client.release = None
            before, image_size = image_size, client.image_size()
            if image_size == before:
                raise
    served = time.perf_counter()
    answer = read_answer(
        outputs,
        client.model(),
        {"resize": 1e3 * (resized - asked), "served": 1e3 * (served - resized)},
    )
    if ACTIVATION_MAP.name not in outputs:
        return answer
    table = answer.finding.colour_table
    activation_map = infection_map(radiograph.pixels, outputs[ACTIVATION_MAP.name], table)
    return dataclasses.replace(answer, activation_map=activation_map)


def infer_files(
    files: Sequence[Path],
    output: Path,
    client: InfmapModel,
    *,
    options: ResultOptions | None = None,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Write the results of every file that is a radiograph.

    Parameters
    ----------
    files
        Pictures; whatever cannot be used is rejected by name and the others go on.
    output
        Folder for the results, made when it is missing.
    client
        The model to ask.
    options
        Results to write; a map and a JSON when not given.
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
    # Before any file is read, so that a server that is missing is noticed at once.
    finding = client.model().finding
    options = options or ResultOptions()
    results = ResultsFolder(output, options, finding=finding, files=files)
    outcomes = []
    for source in files:
        outcome = _infer_file(source, results, client)
        outcomes.append(outcome)
        on_outcome(outcome)
    return outcomes


def _infer_file(source: Path, results: ResultsFolder, client: InfmapModel) -> Outcome:
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
    answer = find_infection(
        radiograph,
        client,
        painted=results.options.painted,
        explained=CAM in results.options.formats,
    )
    return results.write_finding(source, radiograph, answer.after(decode=decode_ms))
