"""The python stub, in which our runner answers: Triton starts another."""

from __future__ import annotations

from chaos.victims.server import Server
from chaos.world import STUB


class Stub(Server):
    name = "stub"
    share = 8
    program = STUB
