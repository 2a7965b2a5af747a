"""`infmap-kit infer`: results are whole, and all of them are there after it was run again."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

from chaos.invariants import demand, demand_no_leftovers, demand_same, demand_whole
from chaos.troubles import Trouble
from chaos.victim import CommandVictim
from infmap_kit.results.journal import JOURNAL
from node_host import PATIENT_ID, PATIENT_NAME


class Infer(CommandVictim):
    name = "infer"
    share = 30
    bears = (
        Trouble.FULL_DISK,
        Trouble.NO_PERMISSION,
        Trouble.CLOCK_AHEAD,
        Trouble.NETWORK_CUT,
    )

    def prepare(self) -> None:
        self._output = self.folder / "results"
        # Kept while it is killed; new in every third.
        self.measure(random.Random(0))  # noqa: S311
        self.measure(random.Random(0))  # noqa: S311
        self._expected = {
            path.name: _content(path) for path in self._results() if path.suffix != ".dcm"
        }
        self._names = [path.name for path in self._results()]

    def arguments(self, chance: random.Random) -> tuple[object, ...]:
        if chance.random() < 0.7:
            shutil.rmtree(self._output, ignore_errors=True)
        self._output.mkdir(exist_ok=True)
        url = f"127.0.0.1:{self.world.server_relay.port}"
        return ("infer", self.world.radiographs, "--output", self._output, "--format", "png,json,dicom",
                "--url", url)  # fmt: skip

    def demand_whole(self) -> None:
        files = [path for path in self._results() if not path.name.endswith(".part")]
        demand_whole(files)
        for path in files:
            if path.name in self._expected:
                demand(_content(path) == self._expected[path.name], f"wrong: {path}")

    def _results(self) -> list[Path]:
        return [path for path in self._output.iterdir() if path.name != JOURNAL]

    def check(self) -> None:
        demand_no_leftovers(self.folder)
        self.demand_whole()
        demand_same((path.name for path in self._results()), self._names, "results")
        for path in self._output.glob("*.json"):
            text = path.read_text()
            demand(PATIENT_NAME not in text and PATIENT_ID not in text, f"a patient in {path}")
        self.demand_silent()


def _content(path: Path) -> Any:
    """What a file says, without times."""
    if path.suffix != ".json":
        return path.read_bytes()
    document = json.loads(path.read_text())
    return {key: value for key, value in document.items() if not key.endswith(("_ms", "time"))}
