"""`infmap-kit node run`: what it has accepted is delivered once."""

from __future__ import annotations

import random

from chaos.department import Department


class Node(Department):
    name = "node"
    share = 14

    def kill(self, chance: random.Random) -> bool:
        was_killed: bool = self.node.process.kill()
        if chance.random() < 0.5:
            # Into the trouble, if there is any; it may end at once and say why.
            self.node.start(wait=False)
            self.node.process.ended.wait(chance.uniform(0, 1))
        return was_killed
