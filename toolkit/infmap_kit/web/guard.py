"""A guard before every request, by host and origin, and the headers of every answer."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # With "no-referrer" browsers would call this server's own pages foreign, too.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Guard:
    """Refuses requests under foreign names and from foreign pages, and sets headers on all answers.

    Parameters
    ----------
    app
        The application that is guarded.
    hosts
        Names under which the server may be asked; on loopback, a page of the internet must not reach
        it under a name of its own.
    """

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str]) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path: str = scope["path"]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    answer.setdefault(name, value)
                answer.setdefault("Cache-Control", "no-store")
            await send(message)

        problem = self._problem(headers, scope["method"], path)
        app = self._app if problem is None else problem
        await app(scope, receive, send_with_headers)

    def _problem(self, headers: Headers, method: str, path: str) -> ASGIApp | None:
        host = _name(headers.get("host", ""))
        if host not in self._hosts:
            return error_answer(
                400, "bad-host", "This server is not known by that name: use its own address."
            )
        if method not in ("GET", "HEAD") and _is_foreign(headers):
            return error_answer(403, "foreign-page", "A page of another site may not decide here.")
        is_picture = path.endswith((".png", ".jpg")) and method in ("GET", "HEAD")
        if path.startswith("/api/") and not is_picture and headers.get("x-infmap") != "1":
            return error_answer(
                403, "no-header", "Requests to /api carry the header X-Infmap: 1, as its pages do."
            )
        return None


def error_answer(status: int, code: str, message: str) -> JSONResponse:
    """An error as programs read it."""
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status)


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_foreign(headers: Headers) -> bool:
    """Whether a page of another site asks, as far as its browser says."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site not in ("same-origin", "none")
    # Another port of the same machine is another site, although it shares the cookie.
    return origin is not None and urlsplit(origin).netloc != headers.get("host")


def _name(netloc: str) -> str:
    try:
        return urlsplit(f"//{netloc}").hostname or ""
    except ValueError:
        return ""
