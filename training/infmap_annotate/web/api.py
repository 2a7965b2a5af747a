"""The JSON interface behind the pages."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from infmap_annotate.reading.decisions import Details, Ledger, Refused
from infmap_annotate.reading.verdict import Jury
from infmap_annotate.reading.worklist import Desk, Item, Worklist
from infmap_annotate.study.folder import Study
from infmap_annotate.study.masks import decode_drawing, most_bytes
from infmap_annotate.study.readers import Reader
from infmap_annotate.web.pictures import PictureCache, Prepared
from infmap_kit.errors import InputRejected
from infmap_kit.model.files import parse_json

_KINDS = ("pick", "reject", "skip", "undo")
_JSON_BYTES = 4096
_DISCARDED_BYTES = 2**26
_DAY_MS = 86_400_000
_TEXT_LETTERS = 64
_DRAWING_STATUS = {"not-png": 415, "bad-drawing": 422}


class Api:
    """Answers the pages' requests.

    Parameters
    ----------
    study
        The study that is annotated.
    reader_of
        Gives the reader of a request; refuses one that is signed out.
    """

    def __init__(self, study: Study, reader_of: Callable[[Request], Reader]) -> None:
        self._reader_of = reader_of
        self._worklist = Worklist(study, Jury(study))
        self._ledger = Ledger(study, self._worklist)
        self._pictures = PictureCache(study)

    def routes(self) -> list[Route]:
        """All paths below ``/api``."""
        return [
            Route("/api/items/current", self.get_current),
            Route("/api/items/{item}/following", self.get_following),
            Route("/api/items/{item}/image.png", self.get_image),
            Route("/api/items/{item}/masks/{slot}.png", self.get_mask),
            Route("/api/items/{item}/drawing", self.put_drawing, methods=["PUT"]),
            Route("/api/decisions", self.post_decision, methods=["POST"]),
        ]

    def current(self, reader: Reader) -> dict[str, Any]:
        """The item that a reader has to decide, as JSON; its ``item`` is ``None`` when all is done."""
        desk = self._worklist.desk(reader)
        item = desk.current
        if item is not None:
            self._ledger.show(reader, item)
        return self._document(reader, desk, item)

    def get_current(self, request: Request) -> Response:
        """Send the item to decide now."""
        return JSONResponse(self.current(self._reader_of(request)))

    def get_following(self, request: Request) -> Response:
        """Send the item after the current one, so that it can be loaded before."""
        reader = self._reader_of(request)
        desk = self._worklist.desk(reader)
        item = self._find(reader, desk, request)
        return JSONResponse(
            self._document(reader, desk, desk.following if item == desk.current else desk.current)
        )

    def get_image(self, request: Request) -> Response:
        """Send the radiograph."""
        image = self._prepared(request).image
        if image is None:
            raise Refused(404, "missing-image", "The radiograph's file is missing or was changed.")
        return Response(image, media_type="image/png")

    def get_mask(self, request: Request) -> Response:
        """Send the mask at a slot."""
        masks = self._prepared(request).masks
        # As text: Python refuses to read a number of 5,000 digits, also on behalf of a route.
        by_slot = {str(slot): mask for slot, mask in enumerate(masks, start=1)}
        slot: str = request.path_params["slot"]
        if slot not in by_slot:
            raise Refused(
                404, "unknown-slot", f"expected a slot from 1 to {len(masks)}, found {slot:.20}"
            )
        mask = by_slot[slot]
        if mask is None:
            raise Refused(404, "missing-mask", "This mask's file is missing or damaged.")
        return Response(mask, media_type="image/png")

    async def post_decision(self, request: Request) -> Response:
        """Record a pick, a reject, a skip or an undo, and send the next item."""
        body = await read_body(request, _JSON_BYTES)
        return await run_in_threadpool(self._decide, request, body)

    async def put_drawing(self, request: Request) -> Response:
        """Record a drawing, and send the next item."""
        reader = await run_in_threadpool(self._reader_of, request)
        desk = await run_in_threadpool(self._worklist.desk, reader)
        try:
            item = self._find(reader, desk, request)
        except Refused:
            with contextlib.suppress(Refused):
                await read_body(request, 0)
            raise
        content = await read_body(
            request, most_bytes(width=item.picture.width, height=item.picture.height)
        )
        return await run_in_threadpool(self._draw, request, reader, item, content)

    def _decide(self, request: Request, body: bytes) -> Response:
        reader = self._reader_of(request)
        document = _json_object(body)
        kind, item, slot = (document.get(key) for key in ("kind", "item", "slot"))
        details = _details(document)
        if kind not in _KINDS:
            raise _bad(f"expected kind to be one of {', '.join(_KINDS)}")
        if kind == "undo":
            if not isinstance(item, str | None):
                raise _bad("expected item to be a text or null")
            number = self._ledger.undo(reader, item, details)
            return self._answer(reader, number)
        if not isinstance(item, str):
            raise _bad("expected item to be a text")
        if kind == "pick":
            if type(slot) is not int:
                raise _bad("expected slot to be a number")
            self._refuse_unseen(reader, item, slot)
        number = self._ledger.choose(reader, item, kind, slot if kind == "pick" else None, details)
        return self._answer(reader, number)

    def _draw(self, request: Request, reader: Reader, item: Item, content: bytes) -> Response:
        details = _details(request.query_params)
        from_slot = _integer(request.query_params.get("from_slot", "0"), "from_slot", 99)
        try:
            mask = decode_drawing(content, width=item.picture.width, height=item.picture.height)
        except InputRejected as error:
            raise Refused(_DRAWING_STATUS[error.code], error.code, error.reason) from error
        return self._answer(reader, self._ledger.draw(reader, item.id, mask, from_slot, details))

    def _answer(self, reader: Reader, number: int) -> Response:
        desk = self._worklist.desk(reader)
        return JSONResponse(
            {"decision": number, "next": self._document(reader, desk, desk.current)}
        )

    def _find(self, reader: Reader, desk: Desk, request: Request) -> Item:
        name: str = request.path_params["item"]
        item = desk.items.get(name)
        if item is None:
            raise self._ledger.why_absent(reader, desk, name)
        return item

    def _prepared(self, request: Request) -> Prepared:
        reader = self._reader_of(request)
        return self._pictures.get(self._find(reader, self._worklist.desk(reader), request))

    def _refuse_unseen(self, reader: Reader, item_id: str, slot: int) -> None:
        item = self._worklist.desk(reader).items.get(item_id)
        if item is None:
            return
        prepared = self._pictures.get(item)
        if prepared.image is None:
            raise Refused(422, "missing-image", prepared.missing[0])
        if 1 <= slot <= len(prepared.masks) and prepared.masks[slot - 1] is None:
            raise Refused(
                422, "missing-mask", "This mask could not be shown, and cannot be picked."
            )

    def _document(self, reader: Reader, desk: Desk, item: Item | None) -> dict[str, Any]:
        progress = desk.progress
        shared = {
            "queue": "third" if reader.role == "third" else "own",
            "can_undo": desk.last is not None,
            "progress": {
                "done": progress.done, "total": progress.total, "skipped": progress.skipped,
            },
        }  # fmt: skip
        if item is None:
            return {"item": None, **shared}
        prepared = self._pictures.get(item)
        if item == desk.current and desk.following is not None:
            self._pictures.prepare(desk.following)
        previous = self._ledger.previous(reader, item)
        return {
            "item": item.id,
            "stage": item.picture.stage,
            "number": item.number,
            "total": progress.total,
            "width": item.picture.width,
            "height": item.picture.height,
            "image": f"/api/items/{item.id}/image.png",
            "candidates": [
                {"slot": slot, "mask": f"/api/items/{item.id}/masks/{slot}.png"}
                for slot, mask in enumerate(prepared.masks, start=1)
                if mask is not None
            ],
            "may_reject": item.open_choice,
            "may_draw": item.open_choice,
            "rejected": desk.is_rejected(item),
            "previous": previous and {"kind": previous["kind"], "slot": previous["slot"]},
            "missing": prepared.missing,
            **shared,
        }


async def read_body(request: Request, most: int) -> bytes:
    """Read a request's body of at most so many bytes.

    Raises
    ------
    Refused
        Status 413, when it is longer.
    """
    content, length = bytearray(), 0
    try:
        async for chunk in request.stream():
            length += len(chunk)
            # Read on for a while, and discard it: a client that still sends would not read the answer.
            if length > most + _DISCARDED_BYTES:
                break
            if length <= most:
                content += chunk
    except ClientDisconnect as error:
        raise _bad("the request ended before its body did") from error
    if length > most:
        raise Refused(413, "too-large", f"expected at most {most} bytes, found more: send less")
    return bytes(content)


def _json_object(body: bytes) -> dict[str, Any]:
    """Read a JSON object whose texts are Unicode: half of a surrogate pair is none, and cannot be stored."""
    try:
        document = parse_json(body)
        json.dumps(document, ensure_ascii=False).encode()
    # Both ends of json have a limit of depth, and not the same one.
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise _bad("expected a JSON object, with texts in Unicode")
    return document


def _details(fields: Any) -> Details:
    """Read the details of a decision from JSON or a query."""
    tab, key = fields.get("tab", ""), fields.get("key")
    for name, value in (("tab", tab), ("key", key or "")):
        if not isinstance(value, str) or len(value) > _TEXT_LETTERS:
            raise _bad(f"expected {name} to be a text of at most {_TEXT_LETTERS} letters")
    return Details(
        elapsed_ms=_integer(fields.get("elapsed_ms", 0), "elapsed_ms", _DAY_MS), tab=tab, key=key
    )


def _integer(value: Any, name: str, most: int) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = -1
    if not 0 <= number <= most:
        raise _bad(f"expected {name} to be a whole number from 0 to {most}")
    return number


def _bad(message: str) -> Refused:
    return Refused(400, "bad-request", message)
