"""A real Prometheus for tests: Debian's, on a free port of loopback, with the settings of a box."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from infmap_kit.serving.server import free_port
from patience import PATIENCE_S
from processes import end


@dataclasses.dataclass(frozen=True)
class Prometheus:
    """A running Prometheus.

    Parameters
    ----------
    url
        Of its HTTP interface.
    """

    url: str

    def get(self, path: str, **query: str) -> Any:
        """What it answers under ``/api/v1``."""
        asked = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(asked, timeout=PATIENCE_S) as answer:
            return json.load(answer)["data"]

    def query(self, text: str) -> list[dict[str, Any]]:
        """The values of a PromQL expression now."""
        found: list[dict[str, Any]] = self.get("query", query=text)["result"]
        return found


@contextlib.contextmanager
def running_prometheus(box: Path, instead: Mapping[str, str]) -> Iterator[Prometheus]:
    """Run it on the settings of a box, once a second; ``instead`` says where services really are."""
    if shutil.which("prometheus") is None:
        pytest.skip("needs Prometheus: apt-get install prometheus")
    text = (box / "prometheus.yml").read_text().replace("15s", "1s")
    for name, place in {**instead, "/etc/prometheus/alerts": str(box / "alerts")}.items():
        assert name in text
        text = text.replace(name, place)
    settings = box / "prometheus-here.yml"
    settings.write_text(text)
    address = f"127.0.0.1:{free_port()}"
    command = ["prometheus", f"--config.file={settings}", f"--web.listen-address={address}"]
    log = box / "prometheus.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, f"--storage.tsdb.path={box / 'tsdb'}"], stdout=file, stderr=file
        )
    try:
        began = time.monotonic()
        while True:
            assert process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() - began < PATIENCE_S, log.read_text()[-2000:]
            with contextlib.suppress(urllib.error.URLError):
                urllib.request.urlopen(f"http://{address}/-/ready", timeout=2).close()
                break
            time.sleep(0.1)
        yield Prometheus(f"http://{address}")
    finally:
        end(process)
