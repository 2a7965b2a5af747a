"""Groups of which one command may go without its name: `bench FILES` is `bench latency FILES`."""

from __future__ import annotations

from typing import Any, ClassVar

import typer

from infmap_kit.cli.app import app
from infmap_kit.command import Application, PastableGroup


class _FirstCommandGroup(PastableGroup):
    first: ClassVar[str]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name in, unless a command or help is asked for."""
        if not args or (
            args[0] not in self.commands and args[0] not in self.get_help_option_names(ctx)
        ):
            args = [self.first, *args]
        return super().parse_args(ctx, args)


def add_group(name: str, *, first: str, about: str, epilog: str) -> typer.Typer:
    """Add a group of commands to the application.

    Parameters
    ----------
    name
        The group's name.
    first
        The command that may go without its name.
    about, epilog
        Help texts above and below the list of its commands.
    """
    group = Application(
        cls=type("Group", (_FirstCommandGroup,), {"first": first}),
        rich_markup_mode="markdown",
        help=f"{about}\n\nWithout a command: `{first}`.",
        epilog=epilog,
    )
    app.add_typer(group, name=name)
    return group
