"""Each alert fires on the metrics that it is about, and none on a well node, by promtool's word."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from infmap_kit.cli.app import app
from infmap_kit.command import exit_code_of
from infmap_kit.host.alerts import RULES, write_alerts

if shutil.which("promtool") is None:
    pytest.skip("needs promtool: apt-get install prometheus", allow_module_level=True)

# Two hours, a sample a minute: metric, its course on a well host, and when it is not well. Each trouble begins
# after 70 minutes.
_WELL = {
    'up{job="infmap-node"}': "1x120",
    'up{job="infmap-serve"}': "1x120",
    'infmap_node_images{state="waiting"}': "1x120",
    'infmap_node_images{state="failed"}': "0x120",
    'infmap_node_finished_total{state="done"}': "0+5x120",
    'infmap_node_destination_away{destination="pacs",reason=""}': "0x120",
    'infmap_node_deliveries{destination="pacs",state="dead"}': "0x120",
    "infmap_node_spool_free_bytes": f"{50 * 2**30}x120",
    'infmap_node_latency_seconds_bucket{le="60"}': "0+5x120",
    'infmap_node_latency_seconds_bucket{le="300"}': "0+5x120",
    'infmap_node_latency_seconds_bucket{le="+Inf"}': "0+5x120",
    "infmap_node_associations_rejected_total": "7x120",
    'infmap_node_handshakes_failed_total{reason="unknown ca"}': "0x120",
    'infmap_node_duplicates_total{content="other"}': "0x120",
    "infmap_node_audit_lost_total": "0x120",
    'nv_inference_request_failure{model="covid",reason="OTHER"}': "0x120",
}
_TROUBLE = {
    "InfmapNodeDown": {'up{job="infmap-node"}': "1x70 0x50"},
    "InfmapRadiographsWait": {'infmap_node_finished_total{state="done"}': "0+5x70 350x50"},
    "InfmapDestinationAway": {
        'infmap_node_destination_away{destination="pacs",reason="it is full"}': "_x70 1x50"
    },
    "InfmapDeadLetters": {
        'infmap_node_deliveries{destination="pacs",state="dead"}': "0x70 3x50"
    },
    "InfmapRadiographsFailed": {'infmap_node_images{state="failed"}': "0x70 1x50"},
    "InfmapSpoolFull": {"infmap_node_spool_free_bytes": f"{50 * 2**30}x70 {2**30}x50"},
    "InfmapSpoolFillsUp": {
        "infmap_node_spool_free_bytes": f"{50 * 2**30}-{2**26}x120",
    },
    "InfmapSlow": {'infmap_node_latency_seconds_bucket{le="60"}': "0+1x120"},
    "InfmapCallersRefused": {"infmap_node_associations_rejected_total": "7x119 8"},
    "InfmapHandshakesFail": {
        'infmap_node_handshakes_failed_total{reason="unknown ca"}': "0x119 2"
    },
    "InfmapSameUidOtherPicture": {'infmap_node_duplicates_total{content="other"}': "0x119 1"},
    "InfmapAuditLost": {"infmap_node_audit_lost_total": "0x119 1"},
    "InfmapServerDown": {'up{job="infmap-serve"}': "1x70 0x50"},
    "InfmapRequestsFail": {
        'nv_inference_request_failure{model="covid",reason="OTHER"}': "0x119 4"
    },
}  # fmt: skip


def _rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture(scope="module")
def fired(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Which alerts fire at the end of each course, by promtool's own unit tests; "" is the well host."""
    folder = tmp_path_factory.mktemp("alerts")
    write_alerts(folder / "rules.yml")
    names = [rule["alert"] for rule in _rules()]
    courses = {"well": _WELL, **{alert: {**_WELL, **course} for alert, course in _TROUBLE.items()}}
    for case, course in courses.items():
        series = [{"series": name, "values": values} for name, values in course.items()]
        one = {
            "interval": "1m",
            "input_series": series,
            "alert_rule_test": [{"eval_time": "2h", "alertname": name} for name in names],
        }
        test = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": [one]}
        (folder / f"{case}.test").write_text(json.dumps(test))
    done = subprocess.run(
        ["promtool", "test", "rules", *(f"{case}.test" for case in courses)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, cwd=folder,
    )  # fmt: skip
    # Told that nothing fires, it names what does.
    told = {}
    for part in done.stdout.split("Unit Testing:")[1:]:
        case = part.split()[0].removesuffix(".test")
        told[case] = set(re.findall(r"alertname:\s*(\w+)", part))
    assert set(told) == set(courses), done.stdout
    return told


def test_no_alert_on_a_well_host(fired: dict[str, set[str]]) -> None:
    assert fired["well"] == set()


@pytest.mark.parametrize("alert", _TROUBLE)
def test_an_alert_on_what_it_is_about_and_no_other(fired: dict[str, set[str]], alert: str) -> None:
    assert fired[alert] == {alert}


def test_every_alert_is_tried_and_explained() -> None:
    names = {rule["alert"] for rule in _rules()}
    assert names == set(_TROUBLE)
    page = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    assert names <= set(re.findall(r"`(\w+)`", page))


def test_the_command_writes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "alerts.yml"
    monkeypatch.setattr("sys.argv", ["infmap-kit", "deploy", "alerts", "-o", str(target)])
    with pytest.raises(SystemExit, match="0"):
        exit_code_of(app)
    assert target.read_bytes() == RULES.read_bytes()
