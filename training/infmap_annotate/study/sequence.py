"""Who sees what in which order, and under which name: drawn from keys, so that it needs no record.

A key is hashed rather than a generator run: what is added later moves nothing that was there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

_T = TypeVar("_T")


def shuffled(things: Iterable[_T], *keys: object, key: Callable[[_T], object]) -> list[_T]:
    """Put things into an order that looks random and is the same for the same keys.

    Parameters
    ----------
    things
        What to order.
    keys
        The seed, and for whom: plain values.
    key
        What tells one thing from another.
    """
    return sorted(things, key=lambda thing: _digest([*keys, key(thing)]))


def opaque_id(secret: bytes, *parts: object) -> str:
    """Name that tells nothing about its parts to whoever lacks the secret, 22 URL-safe letters."""
    mac = hmac.new(secret, _joined(parts), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac[:16]).rstrip(b"=").decode()


def _digest(parts: Sequence[object]) -> bytes:
    return hashlib.sha256(_joined(parts)).digest()


def _joined(parts: Sequence[object]) -> bytes:
    return "\0".join(map(str, parts)).encode()
