"""A run from its first call to its end: the folder is taken, the plan made or found, workers are started."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator
from pathlib import Path

from infmap_kit.cluster import ClusterOptions, connected
from infmap_kit.cohort.dicomweb import Query
from infmap_kit.cohort.engine import model_of
from infmap_kit.cohort.parts import PartWriter
from infmap_kit.cohort.plan import CohortOptions, Plan, plan_of
from infmap_kit.cohort.rows import model_digest, schema_of
from infmap_kit.cohort.run import CohortRun, CohortTally, tally_of
from infmap_kit.cohort.task import Order
from infmap_kit.errors import InfmapError, MissingDependency
from infmap_kit.progress import Progress, no_progress


@dataclasses.dataclass(frozen=True, kw_only=True)
class CohortStart:
    """The arguments of `cohort run`.

    Parameters
    ----------
    inputs
        INPUT of the command line, as for :func:`~infmap_kit.cohort.inputs.locators_of`.
    output
        Folder of the run.
    repository
        Repository that workers open, which they see under this path; ``None`` to ask servers.
    urls
        Servers.
    query
        Search for radiographs in a DICOMweb.
    options
        What is computed and kept for each radiograph.
    cluster
        The workers to use.
    tries
        Number of times that a worker may die over a radiograph.
    patience_s
        Seconds without an answer after which a server, a store or a PACS is given up.

    Raises
    ------
    InfmapError
        When neither or both of repository and servers are named.
    """

    inputs: list[str]
    output: Path
    repository: Path | None = None
    urls: tuple[str, ...] = ()
    query: Query = dataclasses.field(default_factory=Query)
    options: CohortOptions = dataclasses.field(default_factory=CohortOptions)
    cluster: ClusterOptions = dataclasses.field(default_factory=ClusterOptions)
    tries: int = 3
    patience_s: float = 300.0

    def __post_init__(self) -> None:
        if (self.repository is None) == (not self.urls):
            raise InfmapError(
                "expected either --repository or --url, which may stand several times"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Begun:
    """A run that was begun, or that goes on.

    Parameters
    ----------
    plan
        Its plan.
    was_there
        Whether an earlier call made the plan.
    tally
        Progress of the run.
    dashboard
        Address of Dask's dashboard; empty when there is none.
    """

    plan: Plan
    was_there: bool
    tally: CohortTally
    dashboard: str = ""


def conduct(
    start: CohortStart, *, progress: Progress = no_progress
) -> Generator[Begun | CohortTally, None, None]:
    """Begin or go on with a run, and see it to its end.

    Yields
    ------
    Begun or CohortTally
        First the run that was begun, then the progress after each part.

    Raises
    ------
    MissingDependency
        When pyarrow or Dask is not installed.
    InfmapError
        As by :func:`~infmap_kit.cohort.plan.plan_of`, :func:`~infmap_kit.cluster.connected` and
        :class:`~infmap_kit.cohort.run.CohortRun`.
    """
    try:
        import distributed  # noqa: F401
        import pyarrow  # noqa: F401, ICN001
    except ImportError as error:
        raise MissingDependency(
            f"a cohort needs {error.name}, which is not installed: pip install 'infmap-kit[cohort]'"
        ) from error
    model = model_of(start.repository, start.urls)
    parts = PartWriter(start.output, schema_of(start.options.tags))
    with contextlib.closing(parts):
        plan, was_there = plan_of(
            start.output, start.inputs, start.query, model, start.options, progress=progress
        )
        tally = tally_of(plan, parts)
        if tally.done < tally.radiographs:
            order = Order(
                repository=str(start.repository.absolute()) if start.repository else "",
                urls=start.urls,
                model=model_digest(model),
                options=start.options,
                output=str(start.output.absolute()),
                patience_s=start.patience_s,
            )
            with connected(start.cluster) as client:
                run = CohortRun(start.output, plan, parts, order, client, tries=start.tries)
                tally = run.tally
                shown = client.dashboard_link if start.cluster.dashboard else ""
                yield Begun(plan=plan, was_there=was_there, tally=tally, dashboard=shown)
                with contextlib.closing(iter(run)) as tallies:
                    yield from tallies
        else:
            yield Begun(plan=plan, was_there=was_there, tally=tally)
        told = {**dataclasses.asdict(plan), **tally.as_json()}
        parts.seal(told)
