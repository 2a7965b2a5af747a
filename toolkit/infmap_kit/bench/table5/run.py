"""The 24 networks of Table V: built untrained, gated and timed, one after the other."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from infmap_kit.bench.measure import BenchOptions, measure
from infmap_kit.bench.records.record import BenchRecord, compact_json
from infmap_kit.bench.scopes import SCOPES
from infmap_kit.errors import ExportError, InfmapError, MissingDependency, SpecError, Unstable
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.graphs.preparation import prepare_segmentation, read_graph
from infmap_kit.model.files import read_json, sha256_of, write_bytes
from infmap_kit.model.spec import NetworkSpec
from infmap_kit.paper.table5 import Table5Row, table5_rows
from infmap_kit.progress import Progress, no_progress
from infmap_kit.release.export import publish
from infmap_kit.release.source import Source
from infmap_kit.serving.server import Serve, served_here
from infmap_kit.targets.registry import find
from infmap_kit.targets.target import TargetOptions

DEFAULT_TARGET = "embedded"
_BUILD_TIMEOUT_S = 900.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowOutcome:
    """The outcome of a row.

    Parameters
    ----------
    row
        The row of the paper.
    precision
        The precision that was asked for.
    record
        Its measurement; ``None`` when it failed.
    failure
        The reason of a failure; empty when it did not fail.
    parameters
        ``trainable`` and ``non_trainable`` as counted on the network that was built.
    """

    row: Table5Row
    precision: str
    record: BenchRecord | None = None
    failure: str = ""
    parameters: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def stable(self) -> bool:
        """Whether there is a record without doubts."""
        return self.record is not None and not self.record.doubts and not self.record.failure

    def as_json(self) -> dict[str, Any]:
        """The outcome for the row's own file."""
        return {
            "network": dataclasses.asdict(self.row.network),
            "precision": self.precision,
            "random_weights": True,
            "parameters": self.parameters,
            "failure": self.failure,
            "record": self.record.as_json() if self.record is not None else None,
        }


def chosen_rows(names: Iterable[str]) -> list[Table5Row]:
    """Rows of the networks named as ``architecture/encoder``, frozen and not; without names all 24.

    Raises
    ------
    SpecError
        For a network that Table V does not have.
    """
    networks = [NetworkSpec.parse(name) for name in names] or [r.network for r in table5_rows()]
    kinds = {(network.architecture, network.encoder) for network in networks}
    if strangers := [n for n in networks if not n.in_paper]:
        raise SpecError(
            f"expected networks of the paper's Table V, found {strangers[0].architecture} "
            f"{strangers[0].encoder}, which is not in it: `infmap-kit bench latency` measures what is exported"
        )
    return [r for r in table5_rows() if (r.network.architecture, r.network.encoder) in kinds]


def run_table5(
    rows: Sequence[Table5Row],
    folder: Path,
    options: BenchOptions,
    *,
    published: TargetOptions,
    serve: Serve = served_here,
    again: bool = False,
    progress: Progress = no_progress,
) -> list[RowOutcome]:
    """Measure rows; a row that has a settled record already is read and not measured again.

    Parameters
    ----------
    rows
        The rows to measure.
    folder
        Folder of the rows' files, each written as soon as it is measured.
    options
        Length of the measurements.
    published
        Target and options of the engines.
    serve
        Function that starts a server.
    again
        Whether rows that have a settled record are measured anew.

    Returns
    -------
    list
        One outcome a row; a row that failed or did not settle says why, and is tried again at the next
        call.

    Raises
    ------
    MissingDependency
        When TensorFlow, which builds the networks, is not installed.
    HostMismatch
        When this machine cannot build for the target.
    """
    find(published.target).require_host()
    if importlib.util.find_spec("tensorflow") is None:
        raise MissingDependency(
            "building the paper's networks needs TensorFlow: pip install 'infmap-kit[train]'"
        )
    # A map at the picture's own size, and the stages, have nothing to do with the network.
    options = dataclasses.replace(options, only=tuple(SCOPES))
    outcomes = []
    for number, row in enumerate(rows):
        path = folder / f"{row.network.slug}-{_slug_of(published)}.json"
        known = None if again else _known(path, row, published)
        if known is None:
            label = f"{number + 1} of {len(rows)}: {row.network.label}"
            known = _measured(row, options, published, serve, _relabelled(progress, label))
            write_bytes(path, compact_json(known.as_json()).encode())
        outcomes.append(known)
    return outcomes


def require_rows(outcomes: Sequence[RowOutcome]) -> None:
    """Refuse a table with a row that is missing or not sure; everything is written before.

    Raises
    ------
    InfmapError
        When a network failed.
    Unstable
        When a record did not settle.
    """
    if failed := [f"{o.row.network.label}: {o.failure}" for o in outcomes if o.failure]:
        reasons = "; ".join(failed[:3])
        raise InfmapError(f"{len(failed)} of {len(outcomes)} networks failed: {reasons}")
    if unsure := [outcome.row.network.label for outcome in outcomes if not outcome.stable]:
        raise Unstable(
            f"{len(unsure)} of {len(outcomes)} networks did not settle, such as {unsure[0]}: let the machine "
            "rest and call again; those alone are measured anew"
        )


def _known(path: Path, row: Table5Row, published: TargetOptions) -> RowOutcome | None:
    """The outcome in the file of an earlier call; ``None`` when the row must be measured."""
    if not path.is_file():
        return None
    # A damaged file is measured anew.
    with contextlib.suppress(SpecError, KeyError, TypeError):
        document = read_json(path)
        if NetworkSpec(**document["network"]) == row.network and document["record"] is not None:
            known = RowOutcome(
                row=row,
                precision=_precision(published),
                record=BenchRecord.from_json(document["record"], str(path)),
                parameters=document["parameters"],
            )
            return known if known.stable else None
    return None


def _measured(
    row: Table5Row,
    options: BenchOptions,
    published: TargetOptions,
    serve: Serve,
    progress: Progress,
) -> RowOutcome:
    outcome = RowOutcome(row=row, precision=_precision(published))
    try:
        with tempfile.TemporaryDirectory(prefix="infmap-kit-") as scratch:
            progress("building", 0, 1)
            source, parameters = _untrained(row.network, Path(scratch) / "segmentation.onnx")
            outcome = dataclasses.replace(outcome, parameters=parameters)
            repository = Path(scratch) / "model_repository"
            pictures = synthetic_pictures()
            publish(source, repository, published, pictures=pictures, progress=progress)
            record = measure(repository, [], options, serve=serve, progress=progress)
    except InfmapError as error:
        return dataclasses.replace(outcome, failure=str(error))
    if record.failure:
        return dataclasses.replace(outcome, failure=record.failure)
    return dataclasses.replace(outcome, record=record)


def _untrained(network: NetworkSpec, path: Path) -> tuple[Source, dict[str, int]]:
    """Build a network in a process of its own: TensorFlow never enters this one."""
    arguments = json.dumps(dataclasses.asdict(network)), str(path)
    try:
        done = subprocess.run(  # noqa: S603  # our own module in our own interpreter
            [sys.executable, "-m", "infmap_train.networks.untrained", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=_BUILD_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise ExportError(f"it was not built within {_BUILD_TIMEOUT_S:.0f} s") from error
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it was not built, without a reason"])[-1]
        raise ExportError(reason.removeprefix("error: "))
    identity = {
        "name": f"untrained {network.label}",
        "version": "random",
        "network": dataclasses.asdict(network),
        "random_weights": True,
        "onnx_sha256": sha256_of(path),
    }
    source = Source(segmentation=prepare_segmentation(read_graph(path)), identity=identity)
    return source, json.loads(done.stdout.splitlines()[-1])


def _precision(published: TargetOptions) -> str:
    """The precision that was asked for."""
    return published.precision or "auto"


def _slug_of(published: TargetOptions) -> str:
    """Part of a file name for target and precision; the default target is left out."""
    return f"{published.target}-{_precision(published)}".removeprefix(f"{DEFAULT_TARGET}-")


def _relabelled(progress: Progress, label: str) -> Progress:
    return lambda description, done, total: progress(f"{label}, {description}", done, total)
