"""The application behind the page: who has the token sees the results, and nobody else on the machine."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from infmap_kit.errors import SpecError, ViewError
from infmap_kit.model.files import parse_json
from infmap_kit.model.typed import typed
from infmap_kit.view import page
from infmap_kit.view.document import list_document, result_document
from infmap_kit.view.gallery import PICTURES, Card, Gallery
from infmap_kit.view.opinions import Opinion, Opinions
from infmap_kit.view.thumbnails import thumbnail
from infmap_kit.web.guard import Guard, error_answer

HOSTS = frozenset(("localhost", "127.0.0.1", "::1"))
_OPINION_BYTES = 64 * 2**10
_POLICY = {"Content-Security-Policy": page.POLICY + "; frame-ancestors 'none'"}

_Answer = Callable[[Request], Response | Awaitable[Response]]


class ViewApp:
    """Answers the page's requests.

    Parameters
    ----------
    gallery, opinions
        Results to show, and the reader's opinions.
    token
        A secret that whoever starts the command is given, in the address.
    """

    def __init__(self, gallery: Gallery, opinions: Opinions, *, token: str) -> None:
        self._gallery, self._opinions, self._token = gallery, opinions, token

    def routes(self) -> list[Route]:
        """Return the paths that the application serves."""
        return [
            Route("/", self.open),
            Route("/view.js", lambda _: Response(page.script(), media_type="text/javascript")),
            Route("/view.css", lambda _: Response(page.style(), media_type="text/css")),
            Route("/icon.svg", lambda _: Response(page.icon(), media_type="image/svg+xml")),
            Route("/api/results", self._for_holder(self.list)),
            Route("/api/results/{id}", self._for_holder(self.result)),
            Route("/api/results/{id}/thumbnail.jpg", self._for_holder(self.thumbnail)),
            Route("/api/results/{id}/opinion", self.state, methods=["PUT"]),
            Route("/api/results/{id}/{kind}.png", self._for_holder(self.picture)),
        ]

    def open(self, request: Request) -> Response:
        """The page; a token in the address becomes a cookie, so that it does not stay there."""
        if "token" in request.query_params:
            answer = RedirectResponse("/", 303)
            name, token = cookie_of(request.url.port), request.query_params["token"][:128]
            answer.set_cookie(name, token, httponly=True, samesite="strict")
            return answer
        if not self._is_holder(request):
            return HTMLResponse(
                "<!doctype html><title>infmap-kit view</title><p>Open the address that `infmap-kit view` "
                "printed, with its token.",
                403,
                headers=_POLICY,
            )
        return HTMLResponse(page.html(exported=False), headers=_POLICY)

    def list(self, _: Request) -> Response:
        """Send every result in brief."""
        try:
            return JSONResponse(list_document(self._gallery, self._opinions))
        except ViewError as error:
            return error_answer(500, "not-read", str(error))

    def result(self, request: Request) -> Response:
        """Send one result."""
        card = self._card(request)
        return _missing() if card is None else JSONResponse(result_document(card))

    def thumbnail(self, request: Request) -> Response:
        """A small picture, which a browser keeps until the result is another."""
        card = self._card(request)
        content = None if card is None else thumbnail(self._gallery, card)
        return _missing() if content is None else Response(content, media_type="image/jpeg")

    def picture(self, request: Request) -> Response:
        """A picture of a result."""
        card, kind = self._card(request), request.path_params["kind"]
        path = self._gallery.picture(card, kind) if card is not None and kind in PICTURES else None
        return _missing() if path is None else FileResponse(path, media_type="image/png")

    async def state(self, request: Request) -> Response:
        """Keep the reader's opinion."""
        if not self._is_holder(request):
            return _no_token()
        try:
            opinion = typed(Opinion, parse_json(await _body(request)), "the opinion")
            await run_in_threadpool(self._opinions.state, request.path_params["id"], opinion)
        except (ViewError, SpecError, ValueError) as error:
            return error_answer(422, "not-kept", str(error))
        return JSONResponse({"kept": True})

    def _card(self, request: Request) -> Card | None:
        return self._gallery.card(request.path_params["id"])

    def _is_holder(self, request: Request) -> bool:
        given = request.cookies.get(cookie_of(request.url.port), "").encode()
        return hmac.compare_digest(given, self._token.encode())

    def _for_holder(self, answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def guarded(request: Request) -> Response:
            return answer(request) if self._is_holder(request) else _no_token()

        return guarded


def cookie_of(port: int | None) -> str:
    """The cookie's name: browsers keep those of all ports of a host together, and two folders may be open."""
    return f"infmap_view_{port}"


def make_app(gallery: Gallery, opinions: Opinions, *, token: str) -> Starlette:
    """The application of a folder of results; the parameters are those of :class:`ViewApp`."""
    app = ViewApp(gallery, opinions, token=token)
    return Starlette(routes=app.routes(), middleware=[Middleware(Guard, hosts=HOSTS)])


async def _body(request: Request) -> bytes:
    content = b""
    try:
        async for part in request.stream():
            content += part
            if len(content) > _OPINION_BYTES:
                raise ValueError(f"expected an opinion of at most {_OPINION_BYTES >> 10} KiB")
    except ClientDisconnect as error:
        raise ValueError("the page left before its opinion had come") from error
    return content


def _missing() -> Response:
    return error_answer(404, "not-found", "There is no such result, or no such picture of it.")


def _no_token() -> Response:
    return error_answer(403, "no-token", "Open the address that `infmap-kit view` printed.")
