"""Workers for long work: Dask's, on this machine or on a cluster that somebody has started.

Dask sends pickles between client, scheduler and workers: whoever can speak to one of them can run anything
there. So workers of this machine speak by TLS on loopback, with a certificate made for them alone that lies
in no file; a cluster elsewhere is asked with the certificates that are named.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from infmap_kit.errors import InfmapError, MissingDependency, ServerError

if TYPE_CHECKING:
    from distributed import Client
    from distributed.security import Security

_SETTINGS = {
    # A task that took its worker along is told of at once: who asked decides what becomes of it.
    "distributed.scheduler.allowed-failures": 0,
    # What a worker does not work on yet waits at the scheduler, so that a death accuses nobody else.
    "distributed.scheduler.worker-saturation": 1.0,
    "distributed.comm.timeouts.connect": "30s",
    # It stops a worker's threads a hundred times a second to look where they are.
    "distributed.worker.profile.enabled": False,
    "distributed.worker.memory.terminate": 0.95,
}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_START_S = 120
_STARTS = 5
"""Number of attempts to start this machine's workers before the command fails."""
_SHARED_BY = "INFMAP_WORKERS_HERE"
"""Environment variable of workers of this machine: how many share its cores."""


def _option(default: Any, text: str, **metadata: Any) -> Any:
    """A field with its help on the command line, as `infmap_kit.cli.options` reads it."""
    return dataclasses.field(default=default, metadata={"help": text, **metadata})


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """The workers: those of a cluster, or a number to start on this machine.

    Parameters
    ----------
    scheduler
        Address of a cluster's scheduler, such as ``tls://10.0.0.1:8786``; none for workers on this machine.
    workers
        Processes on this machine, of one thread each; 0 for one a core.
    memory
        Most memory of each, such as ``4GiB``; a worker that reaches 95 % of it is started again.
    dashboard
        Whether Dask's dashboard is served, on loopback.
    tls_ca, tls_cert, tls_key
        PEM files, for a scheduler whose address begins with ``tls://``.
    resources
        Dask resources of each worker on this machine, such as ``{"GPU": 1}``.

    Raises
    ------
    InfmapError
        When they contradict each other.
    """

    scheduler: str = _option(
        "",
        "Address of a Dask cluster's scheduler, such as tls://host:8786. The default is workers on "
        "this machine.",
    )
    workers: int = _option(
        0, "Number of worker processes on this machine; 0 starts one per core.", min=0
    )
    memory: str = _option("auto", "Largest memory of each worker on this machine, such as 4GiB.")
    dashboard: bool = _option(False, "Serve Dask's dashboard, on loopback.")
    tls_ca: Path | None = _option(None, "Certificate of the cluster's authority (PEM).")
    tls_cert: Path | None = _option(None, "This client's certificate (PEM).")
    tls_key: Path | None = _option(None, "Private key of this client's certificate (PEM).")
    resources: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        files = (self.tls_ca, self.tls_cert, self.tls_key)
        if self.is_encrypted != all(files) or any(files) != all(files):
            raise InfmapError(
                "expected --tls-ca, --tls-cert and --tls-key with a scheduler at tls://…, and only there"
            )
        if self.scheduler and urlsplit(self.scheduler).scheme not in ("tcp", "tls"):
            raise InfmapError(
                f"expected --scheduler such as tls://10.0.0.1:8786, found {self.scheduler!r}"
            )

    @property
    def is_encrypted(self) -> bool:
        """Whether the scheduler is spoken to by TLS."""
        return self.scheduler.startswith("tls://")

    @property
    def warning(self) -> str:
        """A warning if others on the network can read and forge what is sent; otherwise empty."""
        host = urlsplit(self.scheduler).hostname
        if not self.scheduler or self.is_encrypted or host in _LOOPBACK:
            return ""
        return (
            f"warning: whoever is on the network of {self.scheduler} can read and change what is sent there; "
            "docs/cluster.md says how tls:// is set up"
        )


@contextlib.contextmanager
def connected(options: ClusterOptions) -> Iterator[Client]:
    """Connect to a cluster, or start workers on this machine and end them with the context.

    Workers of this machine share its cores: each keeps to its own. They end when this process does, however it
    ends.

    Raises
    ------
    MissingDependency
        When Dask is not installed.
    ServerError
        When the scheduler does not answer or has no worker, or workers of this machine do not start.
    """
    try:
        import dask
        from distributed import Client
    except ImportError as error:
        raise MissingDependency(
            "workers need dask and distributed, which are not installed: pip install 'infmap-kit[cohort]'"
        ) from error
    # What it says of workers that come and go is said by whoever runs the work.
    for name in ("distributed", "tornado"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as ending, dask.config.set(_SETTINGS):
        if options.scheduler:
            where: Any = options.scheduler
            security: Any = _security(options) if options.is_encrypted else None
        else:
            where, security = ending.enter_context(_here(options)), None
        try:
            client = Client(where, security=security, timeout=30, set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise ServerError(
                f"no Dask scheduler answers at {options.scheduler}: start one with `dask scheduler`, or name "
                "none, for workers on this machine"
            ) from error
        ending.callback(_close, client)
        try:
            client.wait_for_workers(1, timeout=_START_S)
        except TimeoutError as error:
            raise ServerError(
                f"the scheduler at {options.scheduler} has no worker: start some with `dask worker`"
            ) from error
        yield client


def workers_of(client: Client, *, resource: str = "") -> int:
    """Tasks that all workers of a client's cluster can work on now.

    Parameters
    ----------
    resource
        Dask resource of which each task needs one; empty if a task needs only a thread.
    """
    if not resource:
        return sum(client.nthreads().values())
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return sum(int(worker["resources"].get(resource, 0)) for worker in workers)


def workers_gone(error: Exception, *, kept: str) -> ServerError:
    """The error for a run whose workers are gone. ``kept`` names the work that is kept and can be continued."""
    return ServerError(
        f"the workers or their scheduler are gone ({type(error).__name__}): what was {kept} is kept; give the "
        "same command again to go on"
    )


def _close(client: Client) -> None:
    # A scheduler that is gone already is no fault of whoever closes.
    with contextlib.suppress(OSError, TimeoutError):
        client.close(timeout=10)


def _security(options: ClusterOptions) -> Security:
    from distributed.security import Security

    return Security(
        require_encryption=True,
        tls_ca_file=str(options.tls_ca),
        tls_client_cert=str(options.tls_cert),
        tls_client_key=str(options.tls_key),
    )


@functools.cache
def keep_to_own_cores() -> None:
    """Let this process, which runs a task on a worker of this machine, use its share of the cores alone.

    An engine starts as many threads as its process has cores. Where the task's thread alone kept to its share,
    two workers on two cores had two threads each, and judged 0.6 as many radiographs.

    On a cluster that somebody else has started, whoever started it shares the cores out, and nothing is done.
    """
    if (number := number_here()) is None:
        return
    sharing = int(os.environ[_SHARED_BY])
    cores = sorted(os.sched_getaffinity(os.getpid()))
    own = cores[number % sharing :: sharing] or cores
    keep_to_cores(os.getpid(), own)


def keep_to_cores(process: int, cores: Collection[int]) -> None:
    """Let all threads of a process, and those that they start, see some cores alone."""
    for thread in Path(f"/proc/{process}/task").iterdir():
        # One that has ended meanwhile needs none.
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), cores)


def number_here() -> int | None:
    """The number of the worker that runs this task, from 0; ``None`` where somebody else started workers."""
    if _SHARED_BY not in os.environ:
        return None
    from distributed import get_worker

    return int(get_worker().name)


def is_wanted() -> bool:
    """Whether whoever asked for the task that runs here still waits for it.

    Dask lets a task that was cancelled, or whose client is gone, run to its end.
    """
    from distributed import get_worker

    worker = get_worker()
    task = worker.state.tasks.get(worker.get_current_task())
    return task is not None and task.state == "executing"


def _here(options: ClusterOptions) -> Any:
    """Workers on this machine.

    Dask starts a worker again that dies while it works; one that dies while it starts, of a machine short of
    memory for example, takes the others along. So all are started again.
    """
    failure = RuntimeError()
    for _ in range(_STARTS):
        try:
            return _started(options)
        except RuntimeError as error:
            failure = error
        except ValueError as error:
            raise InfmapError(
                f"expected --memory such as 4GiB, found {options.memory!r}"
            ) from error
    raise ServerError(
        f"workers of this machine ended while they started, {_STARTS} times ({failure}): see whether memory is "
        "short, and start fewer by --workers"
    ) from failure


def _started(options: ClusterOptions) -> Any:
    from distributed import LocalCluster
    from distributed.security import Security

    number = options.workers or len(os.sched_getaffinity(0))
    return LocalCluster(
        n_workers=number,
        threads_per_worker=1,
        host="127.0.0.1",
        protocol="tls",
        security=Security.temporary(),
        memory_limit=options.memory,
        resources=dict(options.resources) or None,
        # Without a dashboard the scheduler answers by HTTP all the same, on a port that somebody else may have.
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": options.dashboard},
        silence_logs=logging.CRITICAL,
        env={_SHARED_BY: str(number)},
    )
