"""A plan on its way: trainings go to workers one by one, and the run folders say how far each is."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import time
from collections import deque
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infmap_kit.cluster import ClusterOptions, connected, workers_gone, workers_of
from infmap_kit.errors import InfmapError, ServerError, SpecError, TrainingError
from infmap_kit.model.files import write_json, writing_to
from infmap_kit.model.run_folder import SPEC
from infmap_kit.text import json_bytes
from infmap_train.reproduction.order import TrainingOrder, locked
from infmap_train.reproduction.plan import PlannedTraining, TrainingPlan
from infmap_train.reproduction.task import Ended, work
from infmap_train.run_state import require_same

if TYPE_CHECKING:
    from distributed import Client, Future

GPU = "GPU"
"""The Dask resource of a worker with a GPU: ``dask worker --resources GPU=1``."""
RECORD = "plan.json"
"""The plan, as it is worked on, beside the runs."""

_LOOK_S = 1.0
"""Seconds between two looks at the workers and the run folders."""


@dataclasses.dataclass
class TrainingTally:
    """The progress of a plan.

    Parameters
    ----------
    trainings
        Number of trainings in the plan.
    epochs
        Number of epochs of all trainings.
    done, kept
        Names of those that are there, and how many of them an earlier call made.
    failed
        Reasons of failed trainings, by name.
    running
        Epochs that have ended of those that a worker is at, by name.
    epochs_done
        Epochs of all that have ended; one that ended early counts as whole.
    workers
        Trainings that all workers can be at now.
    deaths
        Number of workers, and of trainings' processes, that were lost.
    took_s
        Seconds since this call began.
    ends_in_s
        About how long the epochs that are left take; ``None`` before one has ended.
    """

    trainings: int
    epochs: int
    done: list[str] = dataclasses.field(default_factory=list)
    kept: int = 0
    failed: dict[str, str] = dataclasses.field(default_factory=dict)
    running: dict[str, int] = dataclasses.field(default_factory=dict)
    epochs_done: int = 0
    workers: int = 0
    deaths: int = 0
    took_s: float = 0.0
    ends_in_s: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the state as a JSON document."""
        document = dataclasses.asdict(self)
        return {**document, "took_s": round(self.took_s, 1)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReproductionStart:
    """The arguments of `reproduce`.

    Parameters
    ----------
    plan
        The plan.
    data
        Folder of the data.
    runs
        Folder of the run folders, which workers see under the same path.
    cluster
        The workers to use.
    gpus
        Names of this machine's GPUs, for workers here.
    tries
        Number of times in a row that a training may lose its worker without an epoch before it fails.
    """

    plan: TrainingPlan
    data: Path
    runs: Path
    cluster: ClusterOptions = dataclasses.field(default_factory=ClusterOptions)
    gpus: tuple[str, ...] = ()
    tries: int = 3


def conduct(start: ReproductionStart) -> Generator[TrainingTally, None, None]:
    """Begin or go on with a plan, and see it to its end.

    Yields
    ------
    TrainingTally
        The progress, first and after each look.

    Raises
    ------
    TrainingError
        When a run folder holds another training, or somebody else works there.
    InfmapError
        As by :func:`~infmap_kit.cluster.connected` and :class:`ReproductionRun`.
    """
    if not start.data.is_dir():
        raise TrainingError(f"{start.data} is no folder: name that of the data, as for `fit`")
    busy = f"another process works on {start.runs}: wait until it has ended"
    with writing_to(start.runs, TrainingError):
        start.runs.mkdir(parents=True, exist_ok=True)
    with locked(start.runs / ".lock", patience_s=0, busy=busy):
        histories = {
            training.name: require_same(
                start.runs / training.name, training.network, training.options
            )
            for training in start.plan.trainings
        }
        document = start.plan.as_document()
        with writing_to(start.runs, TrainingError):
            write_json(start.runs / RECORD, document)
        run = ReproductionRun(start, hashlib.sha256(json_bytes(document)).hexdigest(), histories)
        yield run.tally
        if run.is_over:
            return
        with connected(start.cluster) as client, contextlib.closing(run.on(client)) as tallies:
            yield from tallies


@dataclasses.dataclass(kw_only=True)
class _Try:
    """A training that is given to workers, how far it was, and how often in vain since."""

    training: PlannedTraining
    epochs: int = 0
    lost: int = 0


class ReproductionRun:
    """The trainings of a plan that are not there yet, given to workers.

    Parameters
    ----------
    start
        Arguments of the command.
    digest
        SHA-256 of the plan's record.
    histories
        By name, a row an epoch of each training, as earlier calls left them.
    """

    def __init__(
        self, start: ReproductionStart, digest: str, histories: Mapping[str, list[dict[str, Any]]]
    ) -> None:
        self._start, self._digest = start, digest
        self._histories = dict(histories)
        trainings = start.plan.trainings
        self.tally = TrainingTally(
            trainings=len(trainings), epochs=sum(one.options.epochs for one in trainings)
        )
        self._waiting: deque[_Try] = deque()
        for training in trainings:
            if (start.runs / training.name / SPEC).is_file():
                self.tally.done.append(training.name)
            else:
                self._waiting.append(
                    _Try(training=training, epochs=len(self._histories[training.name]))
                )
        self.tally.kept = len(self.tally.done)
        self._look({})

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to train."""
        return not self._waiting

    def on(self, client: Client) -> Generator[TrainingTally, None, None]:
        """Train on the workers of a client; whoever stops before the end closes the iterator.

        Raises
        ------
        ServerError
            When no worker offers what trainings ask for, or the workers are gone.
        HostMismatch
            When a worker's machine can do no training.
        InfmapError
            When a worker does not see the folder of the runs.
        """
        begun_s = time.monotonic()
        open_: dict[str, tuple[Future, _Try]] = {}
        try:
            self._count(client, must=True)
            while self._waiting or open_:
                # As many as are worked on: one that waits at a worker would be lost with it.
                while self._waiting and len(open_) < self.tally.workers:
                    one = self._waiting.popleft()
                    future = self._submit(client, one)
                    open_[future.key] = future, one
                ended = [key for key, (future, _) in open_.items() if future.done()]
                for key in ended:
                    self._take(*open_.pop(key))
                self._look({one.training.name: one for _, one in open_.values()})
                self.tally.took_s = time.monotonic() - begun_s
                yield self.tally
                if not ended:
                    time.sleep(_LOOK_S)
                self._count(client)
        finally:
            client.cancel([future for future, _ in open_.values()], force=True)

    def _count(self, client: Client, *, must: bool = False) -> None:
        asked = GPU if self._start.plan.gpu else ""
        try:
            self.tally.workers = workers_of(client, resource=asked)
        except (OSError, TimeoutError) as error:
            raise workers_gone(error, kept="trained") from error
        if must and not self.tally.workers:
            raise ServerError(
                "the plan is for GPUs, and no worker offers one: start workers with `dask worker --resources "
                "GPU=1`, or say gpu = false in the plan, which takes many times as long"
            )

    def _submit(self, client: Client, one: _Try) -> Future:
        start, training = self._start, one.training
        order = TrainingOrder(
            network=training.network,
            options=training.options,
            data=str(start.data.absolute()),
            run=str((start.runs / training.name).absolute()),
            gpu=start.plan.gpu,
            data_licence=start.plan.data_licence,
        )
        return client.submit(
            *(work, order, str((start.runs / RECORD).absolute()), self._digest, start.gpus),
            resources={GPU: 1} if start.plan.gpu else None,
            pure=False,
            # A name of its own for every try: tasks of one name are one task to Dask.
            key=f"{training.name}-{time.monotonic_ns()}",
        )

    def _take(self, future: Future, one: _Try) -> None:
        """Take what became of a training."""
        from distributed import KilledWorker

        name = one.training.name
        try:
            ended: Ended = future.result()
        except KilledWorker:
            ended = Ended(reason="its worker was lost", was_killed=True)
        except InfmapError:
            raise
        except Exception as error:
            raise workers_gone(error, kept="trained") from error
        finally:
            future.release()
        if ended.was_killed:
            self.tally.deaths += 1
            self._read(name, one.training)
            reached = len(self._histories[name])
            # Whoever has come further is on the way, however often its workers go.
            one.lost = one.lost + 1 if reached == one.epochs else 1
            one.epochs = reached
            if one.lost < self._start.tries:
                # First, so that what was begun ends.
                self._waiting.appendleft(one)
                return
            ended = Ended(reason=f"{ended.reason}; {one.lost} times without an epoch between")
        if ended.reason:
            self.tally.failed[name] = ended.reason
        elif (self._start.runs / name / SPEC).is_file():
            self.tally.done.append(name)
        else:
            self.tally.failed[name] = (
                f"its worker says that it has ended, and {SPEC} is not there: do workers write to another disk?"
            )

    def _read(self, name: str, training: PlannedTraining) -> None:
        # On a shared disk a file may be gone for a moment while it is replaced.
        with contextlib.suppress(SpecError, OSError):
            self._histories[name] = require_same(
                self._start.runs / name, training.network, training.options
            )

    def _look(self, open_: Mapping[str, _Try]) -> None:
        """Bring the tally to what the run folders say."""
        tally, trainings = self.tally, self._start.plan.trainings
        for name, one in open_.items():
            self._read(name, one.training)
        tally.running = {name: len(self._histories[name]) for name in open_}
        left_s, tally.epochs_done = 0.0, 0
        seconds = self._seconds_an_epoch()
        usual_s = sum(seconds.values()) / len(seconds) if seconds else None
        for training in trainings:
            ended = training.name in tally.done
            epochs = training.options.epochs
            reached = epochs if ended else len(self._histories[training.name])
            tally.epochs_done += reached
            if not ended and training.name not in tally.failed and usual_s is not None:
                left_s += (epochs - reached) * seconds.get(training.network.slug, usual_s)
        tally.ends_in_s = None if usual_s is None else round(left_s / max(tally.workers, 1))

    def _seconds_an_epoch(self) -> dict[str, float]:
        """Mean seconds of the epochs that are known, by network."""
        taken: dict[str, list[float]] = {}
        for training in self._start.plan.trainings:
            rows = self._histories[training.name]
            if rows:
                taken.setdefault(training.network.slug, []).extend(
                    float(row["seconds"]) for row in rows
                )
        return {slug: sum(each) / len(each) for slug, each in taken.items()}
