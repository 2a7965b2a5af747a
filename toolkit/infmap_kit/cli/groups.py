"""Groups of commands."""

from __future__ import annotations

from typing import Any, ClassVar

from typer.core import TyperGroup


class FirstCommandGroup(TyperGroup):
    """A group of which one command may go without its name: `bench FILES` is `bench latency FILES`."""

    first: ClassVar[str]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name in, unless a command or help is asked for."""
        if not args or (
            args[0] not in self.commands and args[0] not in self.get_help_option_names(ctx)
        ):
            args = [self.first, *args]
        return super().parse_args(ctx, args)
