"""The model that a worker asks: a repository opened in its process, or one or several servers."""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import ServerError
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.parts.contract import ENSEMBLE
from infmap_kit.serving.in_process import open_repository
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.config import parse_config
from infmap_kit.triton.infmap_model import InfmapModel, identity_of
from infmap_kit.triton.repository import check_repository

if TYPE_CHECKING:
    from tritonclient.grpc import model_config_pb2 as pb

_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 15.0
_OUT_S = 10.0
"""Seconds during which a server that did not answer is asked only after all others."""


class Servers(InfmapModel):
    """Servers of one model; each question goes to the one with the fewest open ones, threads may share it.

    A question that a server does not answer goes to the next; when none answers, it is asked again later.

    Parameters
    ----------
    urls
        ``host:port`` of each server's gRPC endpoint.
    patience_s
        Seconds without an answer from any server after which an error is raised.

    Raises
    ------
    ServerError
        When none answers, or two serve different models.
    """

    def __init__(self, urls: Sequence[str], *, patience_s: float) -> None:
        self._urls, self._patience_s = tuple(urls), patience_s
        self._lock = threading.Lock()
        self._open = [0] * len(urls)
        self._out_until_s = [0.0] * len(urls)
        # Workers that begin together do not all begin with the same server.
        self._turn = itertools.count(time.monotonic_ns())
        self._made: list[InfmapClient] = []
        self._local = threading.local()
        models = {client.url: model for client in self._clients() if (model := _model(client))}
        if len(set(models.values())) > 1:
            raise ServerError(
                f"expected one model on all servers, found others at {', '.join(models)}: serve the same "
                "release on each"
            )

    @property
    def release(self) -> int | None:
        """See :class:`InfmapModel`; of the server that gave this thread's last answer."""
        client = self._last()
        return client.release if client else None

    @release.setter
    def release(self, value: int | None) -> None:
        if client := self._last():
            client.release = value

    def config(self) -> pb.ModelConfig:
        """See :meth:`InfmapModel.config`."""
        client = self._last()
        return client.config() if client else self._ask(lambda one: one.config())

    def answer(
        self,
        inputs: Mapping[str, NDArray[np.uint8]],
        outputs: Collection[str],
        where_served: Collection[str] = (),
    ) -> dict[str, NDArray[Any]]:
        """See :meth:`InfmapModel.answer`."""
        answer: dict[str, NDArray[Any]] = self._ask(
            lambda client: client.answer(inputs, outputs, where_served)
        )
        return answer

    def close(self) -> None:
        """Close the connections."""
        for client in self._made:
            client.close()

    def _last(self) -> InfmapClient | None:
        last: InfmapClient | None = getattr(self._local, "last", None)
        return last

    def _clients(self) -> list[InfmapClient]:
        """Connections of this thread: one knows the release of its last answer alone."""
        clients: list[InfmapClient] | None = getattr(self._local, "clients", None)
        if clients is None:
            clients = self._local.clients = [InfmapClient(url) for url in self._urls]
            with self._lock:
                self._made += clients
        return clients

    def _ask(self, question: Callable[[InfmapClient], Any]) -> Any:
        for pause_s in _pauses(self._patience_s):
            for _ in self._urls:
                with self._chosen() as index:
                    client = self._clients()[index]
                    try:
                        answer = question(client)
                    except ServerError as error:
                        trouble = error
                        self._out_until_s[index] = time.monotonic() + _OUT_S
                    else:
                        self._local.last = client
                        return answer
            time.sleep(pause_s)
        raise trouble

    @contextlib.contextmanager
    def _chosen(self) -> Iterator[int]:
        """The server with the fewest open questions, of those that answered when they were last asked."""
        now_s, number = time.monotonic(), len(self._urls)
        with self._lock:
            first = next(self._turn)
            index = min(
                ((first + step) % number for step in range(number)),
                key=lambda one: (max(self._out_until_s[one] - now_s, 0), self._open[one]),
            )
            self._open[index] += 1
        try:
            yield index
        finally:
            with self._lock:
                self._open[index] -= 1


def _model(client: InfmapClient) -> ModelIdentity | None:
    try:
        return client.model()
    except ServerError:
        return None


def _pauses(patience_s: float) -> Iterator[float]:
    """Pauses that grow, until together they would be longer than this; the last is none."""
    until_s, pause_s = time.monotonic() + patience_s, _PAUSE_S
    while (left_s := until_s - time.monotonic()) > 0:
        yield min(pause_s, left_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    yield 0.0


def patiently(work: Callable[[], Any], patience_s: float) -> Any:
    """Do some work, and again while what it needs does not answer.

    Raises
    ------
    ServerError
        When it still does not after so long.
    """
    for pause_s in _pauses(patience_s):
        try:
            return work()
        except ServerError as error:
            trouble = error
        time.sleep(pause_s)
    raise trouble


@functools.lru_cache(maxsize=1)
def open_model(repository: str, urls: tuple[str, ...], patience_s: float) -> InfmapModel:
    """The model of a worker, opened at its first task and kept.

    Parameters
    ----------
    repository
        Folder of a repository, on this machine; the servers are asked where it is empty.
    urls
        The servers.
    patience_s
        As for :class:`Servers`.
    """
    if repository:
        return open_repository(Path(repository))
    return Servers(urls, patience_s=patience_s)


def model_of(repository: Path | None, urls: Sequence[str]) -> ModelIdentity:
    """Identity of the model that workers will ask, without opening its engines.

    Raises
    ------
    SpecError
        When a file of the repository is not what was exported.
    ServerError
        When no server answers, or two serve different models.
    """
    if repository is None:
        with Servers(urls, patience_s=0) as servers:
            return servers.model()
    check_repository(repository)
    text = (repository / ENSEMBLE.name / "config.pbtxt").read_text(encoding="utf-8")
    return identity_of(parse_config(text))
