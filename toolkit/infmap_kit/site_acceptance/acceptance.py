"""`infmap-kit accept`: all steps on a host, one after the other, each with its lines."""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from infmap_kit.bench.machine import describe_machine
from infmap_kit.errors import InfmapError, SpecError
from infmap_kit.model.files import sha256_of
from infmap_kit.progress import Progress, no_progress
from infmap_kit.site_acceptance.line import (
    AcceptanceLine,
    AcceptanceOutcome,
    judged,
    not_run,
    reasons_of,
)
from infmap_kit.site_acceptance.report import AcceptanceReport
from infmap_kit.site_acceptance.site import AcceptanceOptions, Site
from infmap_kit.site_acceptance.steps.gate import pass_gate, pass_gate_served
from infmap_kit.site_acceptance.steps.host import examine_host
from infmap_kit.site_acceptance.steps.latency import measure_latency
from infmap_kit.site_acceptance.steps.load import change_release, watch_memory
from infmap_kit.site_acceptance.steps.repository import check_files, fingerprint, untouched
from infmap_kit.site_acceptance.steps.server import ask_for_outputs, restart_server, start_server
from infmap_kit.triton.repository import MANIFEST, versions
from infmap_kit.triton.server.runtime import TRITON_VERSION

FILES, START = "files", "start"
"""Lines that others build upon."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One step of an acceptance.

    Parameters
    ----------
    name
        The step's name.
    about
        Expectation of the step, as a clause.
    explanation
        Sentences for a reader who does not know the product.
    run
        Looks, and gives the lines.
    needs
        A line that must have passed before, or this step is not run.
    """

    name: str
    about: str
    explanation: str = ""
    run: Callable[[Site], Iterator[AcceptanceLine]]
    needs: str = ""


STEPS = (
    Step(
        name="repository",
        about="a whole repository",
        explanation="The repository is the folder that the server loads. Every file of it must be the one that "
        "was published, and its engines must have been proved when they were.",
        run=check_files,
    ),
    Step(
        name="host",
        about="a host that fits the repository",
        explanation="The machine must have what serving needs. The command infmap-kit doctor says the same at "
        "any time.",
        run=examine_host,
    ),
    Step(
        name="gate",
        about="engines that decide as the trained network",
        explanation="An engine is the network as this machine computes it. It is asked about the same pictures "
        "as the trained network, one and several at a time, and must decide alike. Dice is the overlap of the "
        "two infected areas: 1 where they are the same, 0 where they have nothing in common.",
        run=pass_gate,
        needs=FILES,
    ),
    Step(
        name="server",
        about="a server that starts",
        explanation="A server of the repository is started, and asked what it is and what it serves.",
        run=start_server,
        needs=FILES,
    ),
    Step(
        name="served",
        about="a server that answers as the trained network",
        explanation="The comparison of the gate once more, through the running server.",
        run=pass_gate_served,
        needs=START,
    ),
    Step(
        name="outputs",
        about="every subset of the outputs",
        explanation="A client asks for the outputs that it needs, such as the detection alone. Every "
        "combination of them is asked for, and must be answered as when all are asked for at once.",
        run=ask_for_outputs,
        needs=START,
    ),
    Step(
        name="load",
        about="a server that bears load",
        explanation="Several clients ask without a pause. Each answer is looked at, and so is the memory.",
        run=watch_memory,
        needs=START,
    ),
    Step(
        name="restart",
        about="a server that starts again",
        explanation="The server is ended in order, and started again.",
        run=restart_server,
        needs=START,
    ),
    Step(
        name="release change",
        about="a change of release in which no answer is lost",
        explanation="While clients ask, the next release is published in the private copy and taken back.",
        run=change_release,
        needs=START,
    ),
    Step(
        name="latency",
        about="a figure for each scope",
        explanation="The time that one picture takes, from the engine alone to the whole way from file to map. "
        "No figure is prescribed, since hosts differ: a line passes when there is a figure.",
        run=measure_latency,
        needs=START,
    ),
)
"""All steps, in their order."""

_CLEANING_UP = "cleaning up"
_CLEANED = "All of this was done with a private copy, and nothing of it may be left."


def accept(
    repository: Path,
    options: AcceptanceOptions,
    *,
    steps: Sequence[Step] = STEPS,
    progress: Progress = no_progress,
    on_step: Callable[[str, Sequence[AcceptanceLine]], None] = lambda *_: None,
) -> AcceptanceReport:
    """Prove the whole path on this host.

    Everything is done with a private copy of the repository; neither a process nor a file is left behind.

    Parameters
    ----------
    repository
        The repository.
    options
        Pictures, time limit and load.
    steps
        The steps; whoever leaves any out has proved less, which the report then shows.
    progress
        Called with what is done within a step.
    on_step
        Called with the name and the lines of each step that has ended.

    Raises
    ------
    SpecError
        When there is no folder of that name.
    InfmapError
        When it cannot be copied.
    """
    if not repository.is_dir():
        raise SpecError(
            f"expected the folder of a repository, found {repository}: see `infmap-kit export`"
        )
    started = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    begun, before = time.monotonic(), fingerprint(repository)
    host = describe_machine()
    lines: dict[str, list[AcceptanceLine]] = {}

    def done(name: str, found: list[AcceptanceLine]) -> None:
        lines[name] = [
            dataclasses.replace(line, found=site.without_places(line.found)) for line in found
        ]
        on_step(name, lines[name])

    with Site.opened(repository, options, progress) as site:
        identity = _identity(site, repository.resolve().name)
        for step in steps:
            done(step.name, _lines_of(step, site, lines))
        ends = [event for event in site.events if "is started again" in event]
        latency = site.latency
    kept = judged("server ended by itself", "never", "; ".join(ends) or "never", good=not ends)
    done(_CLEANING_UP, [kept, untouched(repository, before)])
    every = [line for found in lines.values() for line in found]
    return AcceptanceReport(
        lines=lines,
        explanations={step.name: step.explanation for step in steps} | {_CLEANING_UP: _CLEANED},
        reasons=reasons_of(every),
        repository=identity,
        host=host,
        versions=versions("numpy", "onnxruntime", "openvino", "tensorrt", "tritonclient")
        | {"server for CPUs": TRITON_VERSION},
        started=started,
        duration_s=round(time.monotonic() - begun, 1),
        latency=latency,
        left_out=[step.name for step in STEPS if step.name not in lines],
    )


def _lines_of(
    step: Step, site: Site, before: dict[str, list[AcceptanceLine]]
) -> list[AcceptanceLine]:
    known = {line.name: line.outcome for lines in before.values() for line in lines}
    if step.needs and known.get(step.needs) is not AcceptanceOutcome.PASSED:
        return [not_run(step.name, step.about, f"not tried, since {step.needs!r} did not pass")]
    if site.is_out_of_time:
        return [not_run(step.name, step.about, "the time limit has passed")]
    lines: list[AcceptanceLine] = []
    try:
        # Those that came before a fault stay.
        lines.extend(step.run(site))
    except (InfmapError, OSError) as error:
        lines.append(judged(step.name, step.about, str(error), good=False))
    return lines


def _identity(site: Site, name: str) -> dict[str, Any]:
    """Hashes and versions of the repository, without anything that names a person."""
    identity: dict[str, Any] = {"folder": name}
    try:
        manifest = site.manifest
    except InfmapError as error:
        return identity | {"manifest": site.without_places(str(error))}
    model = manifest.model
    return identity | {
        "release": manifest.release,
        "published": manifest.published,
        "target": manifest.target,
        "precision": manifest.precision,
        "model": model.get("name", ""),
        "version": model.get("version", ""),
        "onnx_sha256": model.get("onnx_sha256", ""),
        "manifest_seal": manifest.seal,
        "manifest_sha256": sha256_of(site.copy / MANIFEST),
        "built_with": manifest.built_with,
        "files": manifest.files,
    }
