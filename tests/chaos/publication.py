"""Commands that change a repository: what is served is one whole release, whatever happens."""

from __future__ import annotations

import abc
import random
from collections.abc import Sequence

from chaos.invariants import demand, demand_no_leftovers, demand_same
from chaos.troubles import Trouble
from chaos.victim import CommandVictim
from infmap_kit.triton.releases import releases_of
from infmap_kit.triton.repository import check_repository


class Publication(CommandVictim):
    """A command on a repository of its own, with releases in it."""

    bears = (Trouble.FULL_DISK, Trouble.NO_PERMISSION, Trouble.CLOCK_AHEAD)

    def prepare(self) -> None:
        self.repository = self.folder / "repository"
        self.before: Sequence[int] = []
        for _ in range(2):
            self.given = self.exporting()
            self.recover()
        self.measure(random.Random(0))  # noqa: S311

    def exporting(self) -> tuple[object, ...]:
        """The command that adds a release."""
        return ("export", self.world.run, "--repository", self.repository, "--target", "embedded",
                "--report", self.folder / "gate")  # fmt: skip

    def releases(self) -> Sequence[int]:
        """Numbers of all releases, newest first."""
        return [release.manifest.release for release in releases_of(self.repository)]

    def served(self) -> int:
        """Number of the release that is served."""
        return check_repository(self.repository).release

    def demand_whole(self) -> None:
        self.served()
        for release in releases_of(self.repository):
            check_repository(release.folder)

    @abc.abstractmethod
    def demand_done(self) -> None:
        """Demand that the command has done what it is for."""

    def check(self) -> None:
        self.demand_whole()
        demand_no_leftovers(self.folder)
        self.demand_done()
        self.demand_silent()


class NewRelease(Publication):
    """A command that adds a release."""

    def arguments(self, chance: random.Random) -> tuple[object, ...]:
        self.before = self.releases()
        return self.exporting()

    def demand_done(self) -> None:
        after = self.releases()
        demand(after[0] > self.before[0] and self.served() == after[0], "nothing was published")
        # Published twice at most: before the kill, and at the second time. The oldest are forgotten.
        numbers = range(after[0], after[0] - len(after), -1)
        demand_same(after, numbers, "releases")
        demand(after[0] <= self.before[0] + 2, f"published too often: {after}")
