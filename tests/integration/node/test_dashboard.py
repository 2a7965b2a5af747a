"""The dashboard of a box, asked of a real Prometheus that watches a real node and a real Triton."""

from __future__ import annotations

import re
import shutil
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from infmap_kit.host.box import BoxOptions, write_box
from infmap_kit.host.container import ContainerOptions
from infmap_kit.host.dashboard import dashboard
from infmap_kit.triton.server.process import TritonServer
from node_host import NodeHost, c_store_to, running, send
from orthanc import running_orthanc
from patience import PATIENCE_S
from prometheus import running_prometheus

if shutil.which("storescu") is None:
    pytest.skip("needs dcmtk: apt-get install dcmtk", allow_module_level=True)

QUERIES = {
    f"{panel['title']}: {target['legendFormat']}": target["expr"].replace("$__rate_interval", "20s")
    for panel in dashboard()["panels"]
    for target in panel.get("targets", ())
}


@pytest.fixture(scope="module")
def host(
    tmp_path_factory: pytest.TempPathFactory, triton: TritonServer, chests: list[Path]
) -> Iterator[NodeHost]:
    """A node that has brought two radiographs to a PACS."""
    folder = tmp_path_factory.mktemp("watched")
    with running_orthanc(folder / "pacs") as pacs:
        node = NodeHost(folder / "node", triton.grpc_url, c_store_to(pacs))
        with running(node):
            assert send(node.port, chests[:2]) == 0
            node.wait_for(done=2)
            yield node


def test_every_metric_and_label_is_one_that_is_told(host: NodeHost, triton: TritonServer) -> None:
    with urllib.request.urlopen(triton.options.metrics_url, timeout=PATIENCE_S) as answer:
        told = answer.read().decode() + host.http("/metrics")[1]
    labels: dict[str, set[str]] = defaultdict(set)
    for name, given in re.findall(r"^(\w+)(?:{(.*)})? ", told, re.MULTILINE):
        labels[name] |= set(re.findall(r'(\w+)="', given))
    assert len(QUERIES) > 20
    for title, query in QUERIES.items():
        names = set(re.findall(r"\b(?:infmap_node|nv)_\w+", query))
        assert names <= labels.keys(), title
        used = re.findall(r"[{,](\w+)=", query)
        used += [one for by in re.findall(r"by \(([^)]*)\)", query) for one in by.split(", ")]
        shown = re.findall(r"{{(\w+)}}", title)
        for name in names:
            assert {*used, *shown} <= labels[name], title


def test_every_panel_shows_something(
    tmp_path: Path, host: NodeHost, triton: TritonServer, small_repository: Path
) -> None:
    box = tmp_path / "box"
    write_box(box, small_repository, BoxOptions(container=ContainerOptions(user="1000:1000")))
    rule = (
        "groups: [{name: ours, rules: [{alert: NodeAway, expr: 'up{job=\"infmap-node\"} == 0'}]}]"
    )
    (box / "alerts" / "alerts.yml").write_text(rule)
    metrics = triton.options.metrics_url.removeprefix("http://").removesuffix("/metrics")
    instead = {"node:8088": f"127.0.0.1:{host.status_port}", "triton:8002": metrics}
    with running_prometheus(box, instead) as prometheus:
        deadline = time.monotonic() + PATIENCE_S
        while empty := [title for title, query in QUERIES.items() if not prometheus.query(query)]:
            assert time.monotonic() < deadline, empty
            time.sleep(1)
        for job in ("infmap-node", "infmap-triton"):
            (up,) = prometheus.query(f'up{{job="{job}"}}')
            assert up["value"][1] == "1"
        (group,) = prometheus.get("rules")["groups"]
        assert group["rules"][0]["name"] == "NodeAway"
