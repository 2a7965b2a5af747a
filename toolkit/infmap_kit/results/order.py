"""Work in threads whose results come in the order of what they were made of."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

from infmap_kit.errors import InfmapError

_T = TypeVar("_T")
_R = TypeVar("_R")


def in_order(
    pool: Executor, work: Callable[[_T], _R], items: Iterable[_T], *, ahead: int
) -> Iterator[_R]:
    """Do some work on each item in the threads of a pool, at most ``ahead`` items before the one that is given.

    When the items end in an error, what was begun is given before the error is raised.
    """
    waiting: deque[Future[_R]] = deque()
    coming = iter(items)
    trouble: InfmapError | None = None
    while trouble is None:
        try:
            item = next(coming)
        except StopIteration:
            break
        except InfmapError as error:
            trouble = error
            break
        waiting.append(pool.submit(work, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
    if trouble is not None:
        raise trouble
