"""Asking a server from asyncio, several questions at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self, TypeVar

from infmap_kit.answer.answer import Answer
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.triton.client import DEFAULT_URL, InfmapClient
from infmap_kit.triton.inference import find_infection

_T = TypeVar("_T")


class AsyncInfmapClient:
    """Several gRPC connections to a server, for asyncio; use it as an asynchronous context manager.

    Each connection is an :class:`~infmap_kit.triton.client.InfmapClient`, which one task at a time asks in a
    thread: how a takeover by another server is passed through is written there, once. A task that is cancelled
    leaves its connection to others when the server has answered.

    Parameters
    ----------
    url
        ``host:port`` of the server's gRPC endpoint.
    timeout_s
        Seconds after which a request is given up.
    connections
        Most questions at once; further ones wait.

    Raises
    ------
    ValueError
        When there would be no connection.
    MissingDependency
        When tritonclient is not installed.
    """

    def __init__(
        self, url: str = DEFAULT_URL, *, timeout_s: float = 60.0, connections: int = 4
    ) -> None:
        if connections < 1:
            raise ValueError(f"expected connections to be at least 1, found {connections}")
        self._clients = [InfmapClient(url, timeout_s=timeout_s) for _ in range(connections)]
        # Those of asyncio are few on a small machine, and others' work waits for them too.
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix="ask")
        self._free: asyncio.Queue[InfmapClient] = asyncio.Queue()
        self._closed = False
        for client in self._clients:
            self._free.put_nowait(client)

    async def find_infection(
        self,
        radiograph: Radiograph,
        *,
        painted: bool = True,
        explained: bool = False,
        exact: bool = True,
    ) -> Answer:
        """Ask about one radiograph; see :func:`~infmap_kit.triton.inference.find_infection`."""
        return await self._ask(
            lambda client: find_infection(
                radiograph, client, painted=painted, explained=explained, exact=exact
            )
        )

    async def model(self) -> ModelIdentity:
        """Identity of the model that answers; see :meth:`InfmapClient.model`."""
        return await self._ask(InfmapClient.model)

    async def close(self) -> None:
        """Close the connections, once every question is answered; a later one is a RuntimeError."""
        if self._closed:
            return
        self._closed = True
        for _ in self._clients:
            (await self._free.get()).close()
        self._threads.shutdown(wait=False)

    async def _ask(self, question: Callable[[InfmapClient], _T]) -> _T:
        if self._closed:
            raise RuntimeError("the client is closed: ask inside its block")
        client = await self._free.get()
        asked = asyncio.get_running_loop().run_in_executor(self._threads, question, client)
        # Not when this task ends, which may be cancelled, but when the thread does: two that share a connection
        # would take each other's release for their own.
        asked.add_done_callback(lambda done: self._give_back(client, done))
        return await asyncio.shield(asked)

    def _give_back(self, client: InfmapClient, done: asyncio.Future[Any]) -> None:
        self._free.put_nowait(client)
        if not done.cancelled():
            # Looked at here, so that nobody is told of an error whose task was cancelled.
            done.exception()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
