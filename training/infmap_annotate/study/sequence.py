"""Orders and names under which readers see things: drawn from keys, so that they need no record.

A key is hashed rather than a generator run: what is added later moves nothing that was there.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable
from typing import TypeVar

_T = TypeVar("_T")


def shuffled(things: Iterable[_T], *keys: object, key: Callable[[_T], object]) -> list[_T]:
    """Put things into an order that looks random and is the same for the same keys.

    Parameters
    ----------
    things
        Things to order.
    keys
        The seed, and whom the order is for: plain values.
    key
        Identifies a thing.
    """
    return sorted(things, key=lambda thing: hashlib.sha256(_joined(*keys, key(thing))).digest())


def opaque_id(secret: bytes, *parts: object) -> str:
    """Make a name of 22 URL-safe letters that shows nothing of its parts without the secret."""
    mac = hmac.new(secret, _joined(*parts), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac[:16]).rstrip(b"=").decode()


def _joined(*parts: object) -> bytes:
    return "\0".join(map(str, parts)).encode()
