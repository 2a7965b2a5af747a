"""Scripts and styles: those that all pages share, and a room's own beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from infmap_kit.web.shared import SHARED


class PageFiles(StaticFiles):
    """A room's files below ``/static``, and the shared ones; asked for anew, so that a new version is seen.

    Parameters
    ----------
    folder
        The room's own.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder)
        self.all_directories.append(SHARED)

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Answer with a file, or that it is the same as before."""
        answer = super().file_response(*args, **kwargs)
        answer.headers["Cache-Control"] = "no-cache"
        return answer
