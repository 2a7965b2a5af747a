"""`infmap-kit serve`: the server ends with it, and the next one starts on the same ports."""

from __future__ import annotations

import random

from chaos.victims.server import Server


class Serve(Server):
    name = "serve"
    share = 3

    def kill(self, chance: random.Random) -> bool:
        return self._command.kill()
