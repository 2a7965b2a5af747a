"""`infmap-kit export`: the repository is the one before or the next one."""

from __future__ import annotations

from chaos.publication import NewRelease


class Export(NewRelease):
    name = "export"
    share = 8
