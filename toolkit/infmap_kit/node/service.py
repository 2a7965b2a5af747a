"""The node: receiver, workers, senders, cleaner and status page in one process that may end at any time."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from infmap_kit import __version__
from infmap_kit.errors import InfmapError, NodeError
from infmap_kit.node.audit.trail import Trail
from infmap_kit.node.config import NodeConfig
from infmap_kit.node.dicom.delivery import Sender
from infmap_kit.node.dicom.receiver import Receiver
from infmap_kit.node.dicom.refusals import Refusals
from infmap_kit.node.intake import Intake
from infmap_kit.node.log import Troubles, note
from infmap_kit.node.loops import Loop
from infmap_kit.node.queue import view
from infmap_kit.node.queue.callers import add_refused, refused_callers
from infmap_kit.node.queue.clock import utc_now
from infmap_kit.node.queue.database import Database
from infmap_kit.node.queue.outbox import Outbox
from infmap_kit.node.queue.store import Store
from infmap_kit.node.reasons import model_trouble
from infmap_kit.node.retention import Cleaner
from infmap_kit.node.spool import NodeLock, Spool
from infmap_kit.node.web.metrics import Metrics
from infmap_kit.node.web.status_page import StatusServer
from infmap_kit.node.worker import Worker, load_libraries
from infmap_kit.serving.systemd import tell_systemd

_PROBE_EVERY_S = 5.0
_COUNT_EVERY_S = 2.0
_STOP_S = 30.0
_LATEST, _SHORT = 20, 10


class Node:
    """A running node; use it as a context manager.

    Parameters
    ----------
    config
        The node's TOML file.

    Raises
    ------
    NodeError
        When another node has the spool, or a port or certificate cannot be used.
    """

    def __init__(self, config: NodeConfig) -> None:
        self._config = config
        self._spool = Spool(config.node.spool)
        self._lock = NodeLock(self._spool)
        load_libraries()
        self._trail = trail = Trail(config)
        self._started_at = utc_now()
        self._database = database = Database(self._spool.database)
        self._metrics = Metrics(
            lambda: view.overview(database),
            self._spool.free_bytes,
            lambda: {sender.destination.name: sender.trouble for sender in self._senders},
            lambda: trail.lost,
        )
        self._store = Store(database, on_finished=self._metrics.finished)
        self._outbox = Outbox(database, on_finished=self._metrics.finished)
        with self._spool.others_held_off(by_node=True):
            swept = self._spool.sweep(view.files(database), view.image_ids(database))
        if swept:
            note("removed what an earlier run left unfinished", files=swept)
        self._give_up_unknown_destinations()
        self._intake = Intake(
            self._spool, self._store, keep_free_bytes=config.limits.keep_free_mb << 20, trail=trail
        )
        self._troubles = Troubles()
        self._refusals = Refusals(trail)
        workers = [
            Worker(
                config,
                self._spool,
                self._store,
                troubles=self._troubles,
                on_processed=lambda: _wake(self._delivery_loops),
            )
            for _ in range(config.node.workers)
        ]
        title = config.node.ae_title
        self._senders = [
            Sender(
                destination, self._outbox, results=self._spool.results, ae_title=title, trail=trail
            )
            for destination in config.destinations
        ]
        self._work_loops = [
            Loop(f"worker {number}", worker.step, close=worker.close)
            for number, worker in enumerate(workers, start=1)
        ]
        self._delivery_loops = [
            Loop(f"sender to {sender.destination.name}", sender.step, close=database.close,
                 patience_s=3600)
            for sender in self._senders
        ]  # fmt: skip
        cleaner = Cleaner(config.retention, self._spool, self._store)
        self._loops = [
            *self._work_loops,
            *self._delivery_loops,
            Loop("cleaner", cleaner.step, close=database.close, patience_s=3600),
            Loop("probe", self._probe),
            Loop("refusals", self._count_refusals, close=database.close),
        ]
        self._receiver: Receiver | None = None
        self._status: StatusServer | None = None

    def __enter__(self) -> Node:
        try:
            for loop in self._loops:
                loop.start()
            self._status = StatusServer(
                self._config.status,
                page=self._page,
                metrics=self._metrics.text,
                not_ready=self.not_ready,
                not_alive=self.not_alive,
            )
            # Last, when all others are ready to take what it accepts.
            self._receiver = Receiver(
                self._config,
                self._intake,
                troubles=self._troubles,
                on_received=lambda: _wake(self._work_loops),
                on_rejected=self._metrics.association_rejected,
                refusals=self._refusals,
            )
        except BaseException:
            self.__exit__()
            raise
        self._trail.started()
        node = self._config.node
        note("ready", version=__version__, ae_title=node.ae_title, port=node.port)
        return self

    def __exit__(self, *_: object) -> None:
        if self._receiver is not None:
            self._receiver.stop()
        for loop in self._loops:
            loop.stop()
        for loop in self._loops:
            if loop.ident is not None:
                loop.join(_STOP_S)
        if self._status is not None:
            self._status.stop()
        self._trail.stopped()
        self._lock.release()
        note("ended")

    def not_alive(self) -> list[str]:
        """Parts that are stuck or gone; a reason to start the node again."""
        problems = [loop.trouble for loop in self._loops if loop.trouble]
        if self._receiver is not None and not self._receiver.is_alive():
            problems.append("the receiver has ended")
        return problems

    def not_ready(self) -> list[str]:
        """Reasons why radiographs would not be accepted, or would have to wait."""
        problems = self.not_alive()
        if self._receiver is None:
            problems.append("the receiver does not listen yet")
        try:
            self._intake.refuse_when_full()
        except InfmapError as error:
            problems.append(str(error))
        reasons = {model.name: self._model_trouble(model.name) for model in self._config.models}
        return problems + [f"model {name}: {reason}" for name, reason in reasons.items() if reason]

    def _model_trouble(self, name: str) -> str:
        return self._troubles.about(f"model {name}").reason

    def _probe(self) -> float:
        """Ask the models' servers whether they are there."""
        from infmap_kit.triton.client import InfmapClient

        for model in self._config.models:
            trouble = self._troubles.about(f"model {model.name}")
            try:
                with InfmapClient(model.url, timeout_s=_PROBE_EVERY_S) as client:
                    client.model()
            except InfmapError as error:
                trouble.begins(model_trouble(error))
            else:
                trouble.is_over()
        return _PROBE_EVERY_S

    def _count_refusals(self) -> float:
        """Write down what was refused, not each by itself: whoever knocks often would keep the disk busy."""
        counts, callers = self._refusals.take(), self._refusals.take_callers()
        try:
            self._store.count_all(counts)
            counts = {}
            add_refused(self._database, callers)
        # A full disk is said elsewhere, and no reason to end.
        except sqlite3.Error:
            self._refusals.put_back(counts, callers)
        return _COUNT_EVERY_S

    def _give_up_unknown_destinations(self) -> None:
        """Give up deliveries to destinations that the rules do not name any more."""
        known = [destination.name for destination in self._config.destinations]
        for name in self._outbox.orphaned_destinations(known):
            given_up = self._outbox.waited(
                name, 0, "the rules do not name this destination any more", give_up_after_s=-1
            )
            note("given up", destination=name, deliveries=given_up, reason="not in the rules")

    def _page(self) -> dict[str, Any]:
        overview = view.overview(self._database)
        return {
            "version": __version__,
            "ae_title": self._config.node.ae_title,
            "port": self._config.node.port,
            "started_at": self._started_at,
            "now": utc_now(),
            "problems": self.not_ready(),
            "warnings": [f"audit log: {reason}" for reason in [self._trail.trouble] if reason],
            "images": overview.images,
            "received": overview.counters.get("received", 0),
            "models": [
                {"name": model.name, "url": model.url, "trouble": self._model_trouble(model.name)}
                for model in self._config.models
            ],
            "destinations": [
                {
                    "name": sender.destination.name,
                    "kind": sender.destination.kind,
                    "trouble": sender.trouble,
                    "counts": overview.deliveries.get(sender.destination.name, {}),
                }
                for sender in self._senders
            ],
            "refused": refused_callers(self._database, limit=_SHORT),
            "worklist": view.worklist(self._database, limit=_SHORT),
            "latest": view.images(self._database, limit=_LATEST),
            "free_gb": self._spool.free_bytes() / 2**30,
        }


def _wake(loops: Sequence[Loop]) -> None:
    for loop in loops:
        loop.wake()


def run_node(config: NodeConfig) -> None:
    """Run a node until SIGTERM, Ctrl-C, or until a part of it fails.

    Raises
    ------
    NodeError
        When it cannot start, or a part of it has failed; systemd then starts it anew.
    """
    with _ended_by_signal() as ended, Node(config) as node:
        tell_systemd("READY=1")
        while not ended.wait(1.0):
            problems = node.not_alive()
            if problems:
                raise NodeError("; ".join(problems))
            tell_systemd("WATCHDOG=1")
        tell_systemd("STOPPING=1")


def run_worker(config: NodeConfig) -> None:
    """Run one more worker on a node's spool, as a process of its own, until SIGTERM or Ctrl-C."""
    load_libraries()
    spool = Spool(config.node.spool)
    worker = Worker(config, spool, Store(Database(spool.database)), troubles=Troubles())
    note("worker ready", version=__version__)
    with _ended_by_signal() as ended, contextlib.closing(worker):
        tell_systemd("READY=1")
        pause_s = 0.0
        while not ended.wait(pause_s):
            pause_s = worker.step()


@contextlib.contextmanager
def _ended_by_signal() -> Iterator[threading.Event]:
    ended = threading.Event()

    def end(*_: object) -> None:
        ended.set()

    before: list[tuple[signal.Signals, Callable[..., Any] | int | None]] = [
        (number, signal.signal(number, end)) for number in (signal.SIGTERM, signal.SIGINT)
    ]
    try:
        yield ended
    finally:
        for number, handler in before:
            signal.signal(number, handler)
