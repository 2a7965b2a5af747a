"""The node over HTTP, to be read only: a page for people, `/metrics`, `/ready` and `/live` for machines."""

from __future__ import annotations

import contextlib
import ipaddress
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from infmap_kit.errors import NodeError
from infmap_kit.node.config import StatusPage
from infmap_kit.node.web.page import page as html_of
from infmap_kit.report.page import POLICY


class StatusServer:
    """Serves the pages in a thread of its own.

    Parameters
    ----------
    where
        Address and port.
    page, metrics
        Values of the page, and the text of `/metrics`.
    not_ready, not_alive
        Problems; empty lists when there are none.

    Raises
    ------
    NodeError
        When the port cannot be used.
    """

    def __init__(
        self,
        where: StatusPage,
        *,
        page: Callable[[], dict[str, Any]],
        metrics: Callable[[], bytes],
        not_ready: Callable[[], list[str]],
        not_alive: Callable[[], list[str]],
    ) -> None:
        # Not coroutines, so that Starlette calls them in threads: the store may take its time.
        def show(_: Request) -> Response:
            return HTMLResponse(html_of(page()), headers=_HEADERS)

        def show_metrics(_: Request) -> Response:
            return PlainTextResponse(metrics(), media_type="text/plain; version=0.0.4")

        def state(problems: Callable[[], list[str]]) -> Callable[[Request], Response]:
            def answer(_: Request) -> Response:
                lines = problems()
                status = HTTPStatus.SERVICE_UNAVAILABLE if lines else HTTPStatus.OK
                return PlainTextResponse("".join(f"{line}\n" for line in lines or ["ok"]), status)

            return answer

        application = Starlette(
            routes=[
                Route("/", show),
                Route("/metrics", show_metrics),
                Route("/ready", state(not_ready)),
                Route("/live", state(not_alive)),
            ],
            # On loopback, a page of the internet must not reach it under a name of its own.
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=_names(where.host))],
        )
        self._server = uvicorn.Server(
            uvicorn.Config(
                application, host=where.host, port=where.port, log_config=None, access_log=False,
                lifespan="off", timeout_graceful_shutdown=2,
            )
        )  # fmt: skip
        self._thread = threading.Thread(target=self._run, name="status", daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            self._thread.join(0.01)
        if not self._server.started:
            raise NodeError(
                f"port {where.port} on {where.host} cannot be used for the status page: "
                "end what listens there, or choose another in [status]"
            )

    def stop(self) -> None:
        """Serve no more."""
        self._server.should_exit = True
        self._thread.join(timeout=5)

    def _run(self) -> None:
        # uvicorn ends the process when it cannot bind; here only this thread ends.
        with contextlib.suppress(SystemExit):
            self._server.run()


_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def _names(host: str) -> list[str]:
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    return ["localhost", "127.0.0.1", "[::1]", host] if is_loopback else ["*"]
