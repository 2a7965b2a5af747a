"""What is killed: one class for each, in one file of ``victims``, found by itself."""

from __future__ import annotations

import abc
import contextlib
import importlib
import pkgutil
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from chaos import victims
from chaos.invariants import demand, demand_anonymous
from chaos.relay import Relay
from chaos.troubles import (
    Trouble,
    clock_ahead,
    full_disk,
    network_cut,
    no_permission,
    small_disk,
    unmount,
)
from chaos.world import World
from launcher import Command


class Victim(abc.ABC):
    """Something that is killed, started again, and found to have kept its promises.

    A subclass in a module of ``victims`` takes part in every campaign.

    Parameters
    ----------
    world
        What all victims share.
    folder
        A small disk of its own, where mounting one is allowed.
    """

    name: ClassVar[str]
    share: ClassVar[float]
    """How often it is chosen, beside the others."""
    bears: ClassVar[tuple[Trouble, ...]] = ()
    """Troubles that may go with a kill."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.has_disk = small_disk(folder)
        self.offset_s = world.folder / f"{folder.name}.offset_s"
        self.environment = {"CLOCK_OFFSET_FILE": str(self.offset_s)}
        self.log = world.folder / f"{folder.name}.log"

    @abc.abstractmethod
    def prepare(self) -> None:
        """Make what is needed; called once, when everything is well."""

    @abc.abstractmethod
    def strike(self, chance: random.Random) -> bool:
        """Let work begin and kill in its midst; whether there was something to kill."""

    @abc.abstractmethod
    def recover(self) -> None:
        """Do what a user would: start again, ask again. Trouble, if there was any, is over."""

    @abc.abstractmethod
    def check(self) -> None:
        """Demand the invariants, after :meth:`recover`."""

    def end(self) -> None:  # noqa: B027  # a command that has ended leaves nothing
        """Leave nothing running; the folder is taken away afterwards."""

    def relays(self) -> list[Relay]:
        """Networks that may be cut."""
        return [self.world.server_relay]

    def writes_to(self) -> Path:
        """The folder whose permissions are revoked."""
        return self.folder

    def troubles(self) -> list[Trouble]:
        """Those of ``bears`` that can be made here."""
        possible = {
            Trouble.FULL_DISK: self.has_disk,
            Trouble.NO_PERMISSION: self.world.launcher.heeds_permissions,
            Trouble.CLOCK_AHEAD: self.world.has_clock,
        }
        return [trouble for trouble in self.bears if possible.get(trouble, True)]

    @contextlib.contextmanager
    def in_trouble(self, trouble: Trouble, chance: random.Random) -> Iterator[None]:
        """Let something else be wrong while the block runs."""
        wrong: contextlib.AbstractContextManager[None]
        match trouble:
            case Trouble.FULL_DISK:
                wrong = full_disk(self.folder, chance)
            case Trouble.NO_PERMISSION:
                wrong = no_permission(self.writes_to())
            case Trouble.CLOCK_AHEAD:
                wrong = clock_ahead(self.offset_s)
            case Trouble.NETWORK_CUT:
                wrong = network_cut(chance.choice(self.relays()), chance)
            case _:
                wrong = contextlib.nullcontext()
        with wrong:
            yield

    def close(self) -> None:
        """End, and take the disk away."""
        try:
            self.end()
        finally:
            unmount(self.folder)


class CommandVictim(Victim):
    """A command that does its work and ends: killed, it is given again."""

    @abc.abstractmethod
    def arguments(self, chance: random.Random) -> tuple[object, ...]:
        """The command to kill."""

    def strike(self, chance: random.Random) -> bool:
        self.given = self.arguments(chance)
        command = self.launched()
        command.ended.wait(chance.random() * self.usual_s)
        was_killed = command.kill()
        if not was_killed:
            self.demand_in_order(command)
        self.demand_whole()
        return was_killed

    @abc.abstractmethod
    def demand_whole(self) -> None:
        """Demand what must be true at any moment, before anybody has put anything in order."""

    def recover(self) -> None:
        done = self.launched()
        demand(done.wait() == 0, f"not done at the second time: {self.log.read_text()[-1500:]}")

    def launched(self) -> Command:
        """The given command, started."""
        return self.world.launcher.start(
            "infmap-kit", *self.given, log=self.log, environment=self.environment
        )

    def measure(self, chance: random.Random) -> None:
        """Learn how long the command usually takes."""
        self.given = self.arguments(chance)
        started = time.monotonic()
        self.recover()
        self.usual_s = time.monotonic() - started

    def demand_in_order(self, command: Command) -> None:
        """Demand that a command which ended by itself was done, or said in one line why not."""
        shown = command.output()
        demand("Traceback" not in shown, f"a traceback: {shown[-1500:]}")
        if command.exit_code:
            last = (shown.strip().splitlines() or [""])[-1]
            demand(last.startswith("error: "), f"no line of reason, but {shown[-500:]!r}")

    def demand_silent(self) -> None:
        """Demand that nothing of a patient, and no traceback, was printed; and forget what was."""
        shown = self.log.read_text(errors="replace")
        demand_anonymous(shown)
        demand("Traceback" not in shown, f"a traceback: {shown[-1500:]}")
        self.log.write_text("")


def all_victims() -> list[type[Victim]]:
    """Every class of ``victims`` that has a name, in the order of the names."""
    for module in pkgutil.iter_modules(victims.__path__):
        importlib.import_module(f"chaos.victims.{module.name}")
    found, ahead = [], [Victim]
    while ahead:
        for subclass in ahead.pop().__subclasses__():
            ahead.append(subclass)
            if "name" in vars(subclass) and subclass.__module__.startswith("chaos.victims."):
                found.append(subclass)
    return sorted(found, key=lambda victim: victim.name)
