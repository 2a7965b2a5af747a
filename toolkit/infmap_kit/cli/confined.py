"""Commands that compute what a foreign model says: their work is done in a sandbox."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from infmap_kit.sandbox import SandboxLimits, run_confined

if TYPE_CHECKING:
    from infmap_kit.cli.options import Given

DEFAULT_LIMITS = SandboxLimits()


def confined(
    *writes: str, network: str = "", limits: SandboxLimits = DEFAULT_LIMITS
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a command in a sandbox, with the limits of :class:`~infmap_kit.sandbox.SandboxLimits` as its options.

    Stands below ``with_options``, which is given ``SandboxLimits`` too.

    Parameters
    ----------
    writes
        The parameters whose paths are written.
    network
        The parameter that names a server; where it is given, the network stays.
    limits
        The limits where none are given.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def wrapper(*, given: Given, **arguments: Any) -> None:
            paths = [Path(arguments[name]) for name in writes]
            code = run_confined(
                functools.partial(command, given=given, **arguments),
                what=f"`{command.__name__.strip('_')}`",
                limits=given.options(limits),
                writable=paths,
                network=bool(network and arguments[network]),
            )
            if code:
                raise typer.Exit(code)

        return wrapper

    return decorate
