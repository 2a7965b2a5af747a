"""Starting processes as a person at a terminal does."""

from __future__ import annotations

import signal


def heed_ctrl_c() -> None:
    """For ``preexec_fn``: a shell's background job ignores SIGINT, and hands that down to all it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
