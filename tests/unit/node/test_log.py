"""What is logged, how often, and what never."""

from __future__ import annotations

import json
import logging
import subprocess
import sys

import pytest

from infmap_kit.node.log import Trouble


def test_trouble_is_said_when_it_begins_changes_and_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    trouble = Trouble("destination pacs")
    with caplog.at_level(logging.INFO, "infmap_kit.node"):
        trouble.is_over()
        for _ in range(100):
            trouble.begins("it does not answer")
        trouble.begins("it rejects us")
        assert trouble.reason == "it rejects us"
        trouble.is_over()
        trouble.is_over()
    assert [record.message for record in caplog.records] == [
        "destination pacs: it does not answer",
        "destination pacs: it rejects us",
        "destination pacs: well again",
    ]
    assert caplog.records[-1].fields == {"times": 101}  # type: ignore[attr-defined]


def test_lines_are_json_and_libraries_are_silent() -> None:
    script = (
        "import logging, warnings\n"
        "from infmap_kit.node.log import log_to_stderr, note\n"
        "log_to_stderr()\n"
        "logging.getLogger('pynetdicom.assoc').error('Geheim^Gustav')\n"
        "logging.getLogger('pydicom').warning('Geheim^Gustav')\n"
        "warnings.warn('Geheim^Gustav')\n"
        "note('received', image=3, caller='RÖ')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    (line,) = done.stderr.splitlines()
    document = json.loads(line)
    assert document.pop("time").endswith("+00:00")
    assert document == {"level": "info", "event": "received", "image": 3, "caller": "RÖ"}
