"""Triton itself, below `infmap-kit serve`: no wrong answer, and it is there again."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from chaos.invariants import demand, demand_anonymous
from chaos.victim import Victim
from chaos.world import SERVER, STUB, Asking, is_alive
from node_host import wait_until


class Server(Victim):
    name = "server"
    share = 5
    program = SERVER

    def prepare(self) -> None:
        self._before: list[int] = []

    def strike(self, chance: random.Random) -> bool:
        serving = self.world.serving
        serving.ensure()
        assert serving.command is not None
        self._command = serving.command
        self._before = serving.processes(SERVER) + serving.processes(STUB)
        asking = Asking(serving)
        asking.start()
        try:
            time.sleep(chance.uniform(0, 0.3))
            was_killed = self.kill(chance)
            serving.ensure()
        finally:
            asking.end()
        return was_killed

    def kill(self, chance: random.Random) -> bool:
        """Kill one of the server's processes."""
        processes = self.world.serving.processes(self.program)
        if processes:
            os.kill(chance.choice(processes), signal.SIGKILL)
        return bool(processes)

    def recover(self) -> None:
        self.world.serving.ensure()

    def check(self) -> None:
        serving = self.world.serving
        assert serving.command is not None
        if self._command.ended.is_set():
            wait_until(
                lambda: not any(map(is_alive, self._before)),
                explain=lambda: "it outlived serve",
            )
            mapped = list(Path("/dev/shm").glob(f"infmap-kit-{self._command.pid}-*"))
            demand(not mapped, f"left behind: {mapped}")
        shown = serving.log.read_text(errors="replace")
        demand("Traceback" not in shown, f"a traceback: {shown[-1500:]}")
        demand_anonymous(shown)
        serving.renew_when_tired()
