"""`infmap-kit infer`: from files to infection maps, JSON and DICOM; one file's fault is never another's."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from infmap_kit.errors import InputRejected
from infmap_kit.finding import Finding, encode_png
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.imaging.readers import decode_radiograph, read_content
from infmap_kit.outcome import Outcome, ResultOptions, ResultsFolder
from infmap_kit.triton.client import InfmapClient

__all__ = ["encode_png", "find_infection", "infer_files"]

_MAP = "INFECTION_MAP"
_FIGURES = ("DETECTED", "SEVERITY", "PROBABILITY")


def find_infection(
    radiograph: Radiograph, client: InfmapClient, *, painted: bool = True
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

    Raises
    ------
    ServerError
        When the server does not answer.
    """
    started = time.perf_counter()
    image = network_input(radiograph.pixels)
    resized = time.perf_counter()
    if painted:
        answer = client.infer(image, radiograph.pixels, outputs=(*_FIGURES, _MAP))
    else:
        answer = client.infer(image, outputs=_FIGURES)
    served = time.perf_counter()
    return Finding(
        detected=bool(answer["DETECTED"]),
        severity_percent=float(answer["SEVERITY"]),
        probability_max=float(answer["PROBABILITY"].max()),
        probability=answer["PROBABILITY"],
        infection_map=answer.get(_MAP),
        model=client.model(),
        timings_ms={"resize": 1e3 * (resized - started), "served": 1e3 * (served - resized)},
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
    results = ResultsFolder(output, options or ResultOptions())
    outcomes = []
    with InfmapClient(url) as client:
        # Before any file is read: nobody needs to wait for a server that is not there.
        client.model()
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
    finding = find_infection(radiograph, client, painted=results.options.painted)
    return results.write_finding(source, radiograph, finding.after(decode=decode_ms))
