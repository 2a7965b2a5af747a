"""The application that readers see: pages, and the interface behind them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jinja2
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

import infmap_kit
from infmap_annotate.reading.decisions import Refused
from infmap_annotate.study.folder import Study
from infmap_annotate.study.readers import (
    SESSION_HOURS,
    Reader,
    SignInRefused,
    Tries,
    reader_of,
    sign_in,
    sign_out,
)
from infmap_annotate.web.api import Api, read_body
from infmap_kit.web.guard import Guard, error_answer
from infmap_kit.web.static_files import PageFiles

COOKIE = "infmap_session"
_HERE = Path(__file__).parent
_FORM_BYTES = 4096
_LONGEST_DELAY_S = 3.0
_DELAYED_AT_ONCE = 100

_Page = Callable[[Request, Reader], Response]


class Pages:
    """The pages that readers see, as an application.

    Parameters
    ----------
    study
        The study that is annotated.
    api
        The interface behind the pages.
    secure
        Whether the cookie is for HTTPS alone.
    """

    def __init__(self, study: Study, api: Api, *, secure: bool) -> None:
        self._study, self._api, self._secure = study, api, secure
        self._tries = Tries()
        self._delayed = 0
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE / "templates"), autoescape=True
        )

    def routes(self) -> list[Route]:
        """Return the paths of all pages."""
        return [
            Route("/", lambda _: RedirectResponse("/pick", 303)),
            Route("/sign-in", self.sign_in_form, methods=["GET"]),
            Route("/sign-in", self.sign_in, methods=["POST"]),
            Route("/sign-out", self.sign_out),
            Route("/pick", self._signed_in(self.pick)),
            Route("/third", self._signed_in(self.pick)),
            Route("/draw/{item}", self._signed_in(self.draw)),
            Route("/stats", self._signed_in(self.stats)),
        ]

    def sign_in_form(self, request: Request) -> Response:
        """Ask for name and token."""
        ended = "expired" in request.query_params
        error = "You were signed out. Sign in to go on; nothing was lost." if ended else None
        return self._show("sign_in.html", error=error, name="")

    async def sign_in(self, request: Request) -> Response:
        """Begin a session, or say why not."""
        form = parse_qs((await read_body(request, _FORM_BYTES)).decode(errors="replace"))
        name, token = (form.get(field, [""])[0].strip() for field in ("name", "token"))
        # The token comes first: others' failures, under this name or from this address, lock nobody out.
        try:
            session = await run_in_threadpool(sign_in, self._study, name, token)
        except SignInRefused as error:
            client = request.client.host if request.client else ""
            return await self._slowed_down(name, client, str(error))
        answer = RedirectResponse("/pick", 303)
        answer.set_cookie(
            COOKIE, session, max_age=SESSION_HOURS * 3600, httponly=True, samesite="strict",
            secure=self._secure,
        )  # fmt: skip
        return answer

    async def _slowed_down(self, name: str, client: str, error: str) -> Response:
        """Answer a failure, the later the more of them there were."""
        keys = (("name", name), ("client", client))
        wait_s = self._tries.wait_s(*keys)
        self._tries.failed(*keys)
        if wait_s == 0:
            return self._show("sign_in.html", 401, error=error, name=name)
        # Answers that wait cost memory: a flood of them is not kept.
        if self._delayed < _DELAYED_AT_ONCE:
            self._delayed += 1
            try:
                await asyncio.sleep(min(wait_s, _LONGEST_DELAY_S))
            finally:
                self._delayed -= 1
        return self._show(
            "sign_in.html", 429, headers={"Retry-After": str(int(wait_s) + 1)}, name=name,
            error=f"{error} Too many wrong tries: the next may take {_LONGEST_DELAY_S:.0f} seconds.",
        )  # fmt: skip

    def sign_out(self, request: Request) -> Response:
        """End the session."""
        sign_out(self._study, request.cookies.get(COOKIE, ""))
        answer = RedirectResponse("/sign-in", 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict", secure=self._secure)
        return answer

    def pick(self, request: Request, reader: Reader) -> Response:
        """Show the current item's candidates."""
        right = {"owner": "/stats", "third": "/third"}.get(reader.role, "/pick")
        if request.url.path != right:
            return RedirectResponse(right, 303)
        return self._item_page("pick.html", reader)

    def draw(self, request: Request, reader: Reader) -> Response:
        """Show the current item to draw on."""
        item = self._api.current(reader)
        if item["item"] != request.path_params["item"] or not item["may_draw"]:
            return RedirectResponse("/third" if reader.role == "third" else "/pick", 303)
        return self._item_page("draw.html", reader)

    def stats(self, _: Request, reader: Reader) -> Response:
        """Show the agreement to the study's owner."""
        if reader.role != "owner":
            raise Refused(
                403, "not-owner", "The agreement is for whoever runs the study: it tells what others chose."
            )  # fmt: skip
        from infmap_annotate.results.statistics import page_of, study_statistics

        return self._show(
            "stats.html", reader=reader.name, **page_of(study_statistics(self._study))
        )

    def problem(self, request: Request, status: int, code: str, message: str) -> Response:
        """An error, as a page or for a program."""
        if request.url.path.startswith("/api/"):
            return error_answer(status, code, message)
        return self._show(
            "error.html", status, status=status, title=code.replace("-", " ").capitalize(),
            message=message, fix="Go back to the list and try again.", reader=None,
        )  # fmt: skip

    def _signed_in(self, page: _Page) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            session = request.cookies.get(COOKIE)
            reader = reader_of(self._study, session) if session else None
            if reader is None:
                return RedirectResponse("/sign-in?expired" if session else "/sign-in", 303)
            return page(request, reader)

        return answer

    def _item_page(self, template: str, reader: Reader) -> Response:
        item = self._api.current(reader)
        return self._show(
            template, item=item, reader=reader.name, progress=item["progress"],
            queue="third" if reader.role == "third" else "own", owner=reader.role == "owner",
        )  # fmt: skip

    def _show(
        self,
        template: str,
        status_code: int = 200,
        headers: dict[str, str] | None = None,
        **context: Any,
    ) -> Response:
        page = self._templates.get_template(template)
        return HTMLResponse(
            page.render(version=infmap_kit.__version__, **context), status_code, headers=headers
        )


def make_app(study: Study, *, hosts: frozenset[str], secure: bool = False) -> Starlette:
    """Make the application of a study.

    Parameters
    ----------
    study
        The study that is annotated.
    hosts
        Names under which the server may be asked.
    secure
        Whether browsers reach it by HTTPS.
    """
    api = Api(study, _session_reader(study))
    pages = Pages(study, api, secure=secure)

    def refused(request: Request, error: Exception) -> Response:
        if not isinstance(error, Refused):
            raise error
        return pages.problem(request, error.status, error.code, error.message)

    def not_found(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        code = {404: "not-found", 405: "method-not-allowed"}.get(status, "error")
        return pages.problem(request, status, code, "There is no such page here.")

    def busy(request: Request, error: Exception) -> Response:
        return pages.problem(
            request, 503, "busy",
            f"The study could not be written ({error}). Nothing was lost: try again in a moment.",
        )  # fmt: skip

    return Starlette(
        routes=[
            *pages.routes(),
            *api.routes(),
            Mount("/static", PageFiles(_HERE / "static")),
        ],
        middleware=[Middleware(Guard, hosts=hosts)],
        exception_handlers={
            Refused: refused, HTTPException: not_found, sqlite3.OperationalError: busy, OSError: busy,
        },
    )  # fmt: skip


def _session_reader(study: Study) -> Callable[[Request], Reader]:
    def find(request: Request) -> Reader:
        reader = reader_of(study, request.cookies.get(COOKIE, ""))
        if reader is None:
            raise Refused(
                401, "signed-out", "You are signed out, or your token expired: sign in again."
            )
        return reader

    return find
