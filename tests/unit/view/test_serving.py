"""The command as it is typed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import requests

from patience import PATIENCE_S
from processes import heed_ctrl_c

KIT = [sys.executable, "-m", "infmap_kit", "view"]


def test_it_serves_until_ctrl_c(made: Path) -> None:
    process = subprocess.Popen(
        [*KIT, str(made / "out"), "--reader", "anna"], stderr=subprocess.PIPE, text=True,
        preexec_fn=heed_ctrl_c, env={**os.environ, "COLUMNS": "40"},
    )  # fmt: skip
    assert process.stderr
    try:
        lines = process.stderr.readline() + process.stderr.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S{32}\n", lines)
        assert address, "whole, however narrow the terminal is"
        page = requests.get(address[0].strip(), timeout=PATIENCE_S)
        assert 'data-source="served"' in page.text
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said


def test_it_exports(made: Path, tmp_path: Path) -> None:
    command = [*KIT, str(made / "out"), "--export", str(tmp_path / "page"), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"results": 5, "page": str(tmp_path / "page" / "index.html")}
    assert (tmp_path / "page" / "index.html").is_file()
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "not empty" in again.stderr
