"""The work on one task: infer its radiographs and write their maps if asked for. It writes no rows."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from infmap_kit.cluster import keep_to_own_cores
from infmap_kit.cohort.engine import open_model, patiently
from infmap_kit.cohort.plan import CohortOptions
from infmap_kit.cohort.rows import Row, model_digest
from infmap_kit.cohort.sources import fetch, name_of
from infmap_kit.errors import InfmapError, InputRejected
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.imaging.readers import decode_radiograph
from infmap_kit.results.folder import ResultOptions, ResultsFolder, SourceFile
from infmap_kit.results.order import in_order
from infmap_kit.triton.inference import find_infection
from infmap_kit.triton.infmap_model import InfmapModel

FAILED = "failed"
"""Code of a radiograph that no reader expected: an error of this program, not of its server."""

_ASKING_A_SERVER = 2
"""Questions that a worker has open at each server: one is computed while the next is on its way."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Order:
    """The settings that all tasks of a run share.

    Parameters
    ----------
    repository
        Folder of the repository that workers open; the servers are asked where it is empty.
    urls
        The servers.
    model
        Digest of the one model that may answer.
    options
        What is computed and kept for each radiograph.
    output
        Folder of the run, for maps.
    patience_s
        Seconds without an answer from server, store or PACS after which the task is given back.
    """

    repository: str
    urls: tuple[str, ...]
    model: str
    options: CohortOptions
    output: str
    patience_s: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Done:
    """Rows that a worker made, and the seconds it took."""

    rows: list[dict[str, Any]]
    took_s: float


def work(items: tuple[tuple[int, bytes], ...], order: Order) -> Done:
    """Judge some radiographs, ``(number, locator)`` each.

    Raises
    ------
    ServerError
        When what is needed does not answer.
    InfmapError
        When another model answers than the run's, or a map cannot be written.
    """
    started_s = time.monotonic()
    keep_to_own_cores()
    model = open_model(order.repository, order.urls, order.patience_s)
    threads = _ASKING_A_SERVER * len(order.urls) or 1
    with ThreadPoolExecutor(threads) as readers, ThreadPoolExecutor(threads) as askers:
        read = in_order(readers, functools.partial(_read, order=order), items, ahead=threads)
        ask = functools.partial(_answer, model=model, order=order)
        rows = [row.values for row in in_order(askers, ask, read, ahead=threads)]
    return Done(rows=rows, took_s=time.monotonic() - started_s)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Fetched:
    """A radiograph that was fetched, and decoded unless it was refused."""

    row: Row
    content: bytes = b""
    radiograph: Radiograph | None = None
    decode_ms: float = 0.0


def _read(item: tuple[int, bytes], order: Order) -> _Fetched:
    number, locator = item
    row = Row(number, locator, order.options)

    def read() -> _Fetched:
        begun_s = time.perf_counter()
        content = patiently(lambda: fetch(locator), order.patience_s)
        fetched_s = time.perf_counter()
        row.add_content(content, fetch_ms=1e3 * (fetched_s - begun_s))
        radiograph = decode_radiograph(
            content, name_of(locator), secondary_capture=order.options.secondary_capture
        )
        decode_ms = 1e3 * (time.perf_counter() - fetched_s)
        return _Fetched(
            row=row,
            content=content if order.options.maps else b"",
            radiograph=radiograph,
            decode_ms=decode_ms,
        )

    return _or_rejected(row, read) or _Fetched(row=row)


def _answer(fetched: _Fetched, model: InfmapModel, order: Order) -> Row:
    row, radiograph = fetched.row, fetched.radiograph
    if radiograph is None:
        return row

    def ask() -> bool:
        results = ResultOptions(formats=order.options.maps) if order.options.maps else None
        painted = results is not None and results.painted
        exact = results is not None and results.exact
        answer = find_infection(radiograph, model, painted=painted, exact=exact)
        if model_digest(answer.model) != order.model:
            raise InfmapError(
                "another model answers than the one that this run began with: serve that one again, or give "
                "another --output"
            )
        answer = answer.after(decode=fetched.decode_ms)
        if results is not None:
            folder = ResultsFolder(_shard(order, row), results, finding=answer.finding)
            file = SourceFile.of(Path(_stem(row)), fetched.content)
            file = dataclasses.replace(file, unnamed=False)
            folder.write_finding(folder.named(file), radiograph, answer)
        row.add_answer(radiograph, answer)
        return True

    _or_rejected(row, ask)
    return row


def _or_rejected(row: Row, step: Callable[[], Any]) -> Any:
    """The result of a step, or ``None`` if it rejects the radiograph. Errors that end the run are raised."""
    try:
        return step()
    except InputRejected as rejection:
        row.add_rejection(rejection)
    except InfmapError:
        raise
    except Exception as error:  # noqa: BLE001  # one radiograph stops no other, whatever it does to a decoder
        row.add_rejection(InputRejected(FAILED, f"it could not be read: {type(error).__name__}"))
    return None


def _stem(row: Row) -> str:
    return str(row.values["content"]).rpartition(":")[2]


def _shard(order: Order, row: Row) -> Path:
    """Folders of at most some thousand maps, by the content's hash."""
    stem = _stem(row)
    return Path(order.output) / "maps" / stem[:2] / stem[2:4]
