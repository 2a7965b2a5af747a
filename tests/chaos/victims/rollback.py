"""`infmap-kit rollback`: the release before or the one asked for, and none is lost."""

from __future__ import annotations

import random

from chaos.invariants import demand, demand_same
from chaos.publication import Publication


class Rollback(Publication):
    name = "rollback"
    share = 12

    def arguments(self, chance: random.Random) -> tuple[object, ...]:
        self.before = self.releases()
        present = self.served()
        return self._to(chance.choice([number for number in self.before if number != present]))

    def recover(self) -> None:
        # Done before the kill: what is served already cannot be gone back to.
        if self.given[0] != "rollback" or self.served() != self.given[-1]:
            super().recover()
        else:
            # What a kill left beside goes away with the next one.
            for release in (next(n for n in self.before if n != self.served()), self.given[-1]):
                self.given = self._to(release)
                super().recover()

    def _to(self, release: object) -> tuple[object, ...]:
        return ("rollback", "--repository", self.repository, "--to", release)

    def demand_done(self) -> None:
        demand_same(self.releases(), self.before, "releases")
        demand(self.served() == self.given[-1], "not gone back")
