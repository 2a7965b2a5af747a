"""Workers for long work: Dask's, on this machine or on a cluster that somebody has started.

Dask sends pickles between client, scheduler and workers: whoever can speak to one of them can run anything
there. So workers of this machine speak by TLS on loopback, with a certificate made for them alone that lies
in no file; a cluster elsewhere is asked with the certificates that are named.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
from collections.abc import Iterator, Mapping
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
_SHARED_BY = "INFMAP_WORKERS_HERE"
"""Environment variable of workers of this machine: how many share its cores."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Where workers are, or how many are started here.

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
        What each worker on this machine offers tasks that ask for it, such as ``{"GPU": 1}``.

    Raises
    ------
    InfmapError
        When they contradict each other.
    """

    scheduler: str = ""
    workers: int = 0
    memory: str = "auto"
    dashboard: bool = False
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
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
    def is_open(self) -> bool:
        """Whether what is sent can be read and forged on a network."""
        host = urlsplit(self.scheduler).hostname
        return bool(self.scheduler) and not self.is_encrypted and host not in _LOOPBACK


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
        When the scheduler does not answer, or has no worker.
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


def workers_of(client: Client) -> int:
    """Threads of all workers that a client's cluster has now."""
    return sum(client.nthreads().values())


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


def keep_to_own_cores() -> None:
    """In a task on this machine's workers: let what starts threads for all cores see this worker's share alone.

    On a cluster that somebody else has started, whoever started it shares the cores out, and nothing is done.
    """
    if not (number := int(os.environ.get(_SHARED_BY, "0"))):
        return
    from distributed import get_worker

    cores = sorted(os.sched_getaffinity(os.getpid()))
    # Of this thread and those that it starts; the process' own stays what it was.
    own = cores[int(get_worker().name) % number :: number] or cores
    os.sched_setaffinity(0, own)


def _here(options: ClusterOptions) -> Any:
    """Workers on this machine."""
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
