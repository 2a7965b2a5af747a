"""The demo's folder; each step takes up what an earlier call left in it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import infmap_kit
from infmap_kit.errors import SpecError
from infmap_kit.imaging.files import find_pictures
from infmap_kit.imaging.synthetic.folder import write_synthetic
from infmap_kit.model.files import (
    read_json,
    require_new_folder,
    sha256_of,
    write_json,
    writing_to,
)
from infmap_kit.progress import Progress, no_progress
from infmap_kit.release.export import export_model
from infmap_kit.results.folder import ResultOptions
from infmap_kit.results.infer import InferenceRun
from infmap_kit.results.outcome import Outcome
from infmap_kit.serving.server import checked, serving
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.repository import Manifest
from infmap_kit.view.export import export_results

_COUNT, _SIZE_PIXELS = 4, 1024


class DemoFolder:
    """Model repository, radiographs, results and page of `infmap-kit demo`.

    Parameters
    ----------
    folder
        A new or empty folder, or one of an earlier call.

    Raises
    ------
    InfmapError
        When it holds something else.
    """

    def __init__(self, folder: Path) -> None:
        self.repository = folder / "model_repository"
        self.results = folder / "results"
        self.page = folder / "page" / "index.html"
        self._radiographs = folder / "radiographs"
        # Also what tells that the folder is the demo's, which may be written to again.
        self._record = folder / "demo.json"
        if not self._record.is_file():
            require_new_folder(folder)
            with writing_to(folder):
                folder.mkdir(parents=True, exist_ok=True)
                write_json(self._record, {})

    def published(self, model: Path) -> Manifest | None:
        """The release that an earlier call of this version published of the same model, if it is complete."""
        with contextlib.suppress(SpecError):
            if read_json(self._record) == _record_of(model):
                return checked(self.repository)
        return None

    def publish(self, model: Path, progress: Progress = no_progress) -> None:
        """Export a run folder through the gate, for the server for CPUs; raises as ``export_model`` does."""
        report = self.repository.with_name("gate-report")
        export_model(model, self.repository, "embedded", report=report, progress=progress)
        write_json(self._record, _record_of(model))

    def draw(self) -> None:
        """Draw the radiographs, every second one with infection."""
        # The index is written last.
        if not (self._radiographs / "index.csv").is_file():
            write_synthetic(self._radiographs, count=_COUNT, size=_SIZE_PIXELS)

    def infer(self, progress: Progress = no_progress) -> list[Outcome]:
        """Serve the repository on free ports of loopback, and ask about the radiographs.

        The server has ended when this returns or raises.

        Raises
        ------
        ServerError, HostMismatch
            When it cannot be served.
        """
        pictures = find_pictures([self._radiographs / "images"])
        options = ResultOptions(formats=("png", "json", "view"))
        outcomes: list[Outcome] = []
        progress("starting the server", 0, 1)
        with serving(self.repository) as server, InfmapClient(server.grpc_url) as client:
            run = InferenceRun(pictures, self.results, client, options=options)
            with contextlib.closing(iter(run)) as answers:
                for outcome in answers:
                    outcomes.append(outcome)
                    progress("radiographs", len(outcomes), len(pictures))
        return outcomes

    def show(self, outcomes: Sequence[Outcome]) -> None:
        """Write the page of results, unless it is there and shows these."""
        if self.page.is_file() and all(outcome.kept for outcome in outcomes):
            return
        # First, since it says that the rest is there.
        self.page.unlink(missing_ok=True)
        shutil.rmtree(self.page.parent, ignore_errors=True)
        export_results(self.results, self.page.parent, reader="reader")


def _record_of(model: Path) -> dict[str, object]:
    """The origin of a repository: the version, and the SHA-256 of each file of the model."""
    files = {path.name: sha256_of(path) for path in sorted(model.iterdir()) if path.is_file()}
    return {"infmap_kit": infmap_kit.__version__, "model": files}
