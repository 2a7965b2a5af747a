"""The PACS: the node waits for it, and delivers the rest."""

from __future__ import annotations

import random
import time

from chaos.department import Department


class Pacs(Department):
    name = "orthanc"
    share = 8

    def kill(self, chance: random.Random) -> bool:
        self.kill_pacs()
        time.sleep(chance.uniform(0, 0.5))
        self.start_pacs()
        return True
