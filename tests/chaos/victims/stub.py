"""The python stub, in which our runner answers: clients are refused in one line until another answers."""

from __future__ import annotations

from chaos.victims.server import Server
from chaos.world import STUB


class Stub(Server):
    name = "stub"
    share = 5
    program = STUB
