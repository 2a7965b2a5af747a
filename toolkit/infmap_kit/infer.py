"""`infmap-kit infer`: from files to infection maps and JSON, one file's fault never another's."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import InfmapError, InputRejected
from infmap_kit.finding import Finding
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.imaging.readers import read_radiograph
from infmap_kit.spec import write_bytes, write_json
from infmap_kit.triton.client import InfmapClient


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one file.

    Parameters
    ----------
    source
        The file.
    finding
        What the model said; ``None`` for a rejected file.
    rejection
        Why the file was rejected; ``None`` for a finding.
    map_path, json_path
        What was written.
    """

    source: Path
    finding: Finding | None = None
    rejection: InputRejected | None = None
    map_path: Path | None = None
    json_path: Path | None = None

    def as_json(self) -> dict[str, Any]:
        """The outcome for scripts."""
        if self.rejection is not None:
            return {
                "source": str(self.source),
                "rejected": {"code": self.rejection.code, "reason": str(self.rejection)},
            }
        return {
            "source": str(self.source),
            "infection_map": str(self.map_path),
            **(self.finding.as_json() if self.finding else {}),
        }


def find_infection(radiograph: Radiograph, client: InfmapClient, model: dict[str, str]) -> Finding:
    """Ask the server about one radiograph, with the map at the radiograph's own size.

    Raises
    ------
    ServerError
        When the server does not answer.
    """
    started = time.perf_counter()
    image = network_input(radiograph.pixels)
    resized = time.perf_counter()
    answer = client.infer(image, radiograph.pixels)
    served = time.perf_counter()
    return Finding(
        detected=bool(answer["DETECTED"]),
        severity_percent=float(answer["SEVERITY"]),
        probability_max=float(answer["PROBABILITY"].max()),
        probability=answer["PROBABILITY"],
        infection_map=answer["INFECTION_MAP"],
        model=model,
        timings_ms={"resize": 1e3 * (resized - started), "served": 1e3 * (served - resized)},
    )


def infer_files(
    files: Sequence[Path],
    output: Path,
    *,
    url: str,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Write an infection map and a JSON for every file that is a radiograph.

    Parameters
    ----------
    files
        Pictures; whatever cannot be used is rejected by name and the others go on.
    output
        Folder for the results, made when it is missing.
    url
        The server's gRPC endpoint.
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
    """
    outcomes = []
    with InfmapClient(url) as client:
        model = client.model()
        for source, stem in zip(files, _stems(files), strict=True):
            outcome = _infer_file(source, output, stem, client, model)
            outcomes.append(outcome)
            on_outcome(outcome)
    return outcomes


def encode_png(infection_map: NDArray[np.uint8]) -> bytes:
    """An infection map, (H, W, 3) uint8 RGB, as PNG."""
    bgr = cv2.cvtColor(infection_map, cv2.COLOR_RGB2BGR)
    # Level 1: writing the file would otherwise take longer than everything before it.
    return cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()


def _infer_file(
    source: Path, output: Path, stem: str, client: InfmapClient, model: dict[str, str]
) -> Outcome:
    started = time.perf_counter()
    try:
        radiograph = read_radiograph(source)
    except InputRejected as rejection:
        return Outcome(source=source, rejection=rejection)
    decoded = time.perf_counter()
    finding = find_infection(radiograph, client, model)
    encoding = time.perf_counter()
    png = encode_png(finding.infection_map)
    timings = {
        "decode": 1e3 * (decoded - started),
        **finding.timings_ms,
        "encode_png": 1e3 * (time.perf_counter() - encoding),
    }
    finding = dataclasses.replace(finding, timings_ms=timings)
    map_path, json_path = output / f"{stem}.infection_map.png", output / f"{stem}.json"
    try:
        write_bytes(map_path, png)
        document = {
            "source": source.name,
            "height": radiograph.height,
            "width": radiograph.width,
            "notes": list(radiograph.notes),
            "infection_map": map_path.name,
            **finding.as_json(),
        }
        write_json(json_path, document)
    except OSError as error:
        raise InfmapError(f"cannot write to {output}: {error.strerror}") from error
    return Outcome(source=source, finding=finding, map_path=map_path, json_path=json_path)


def _stems(files: Sequence[Path]) -> list[str]:
    """Names for the results: the file's own, with its suffix or a number where two would be one."""
    stems: list[str] = []
    taken: set[str] = set()
    for file in files:
        candidates = [file.stem, file.name.replace(".", "_")]
        candidates += [f"{file.stem}_{number}" for number in range(2, len(files) + 2)]
        stem = next(name for name in candidates if name not in taken)
        taken.add(stem)
        stems.append(stem)
    return stems
