"""A node whose folder the previous state wrote goes on where that left it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infmap_kit.serving.server import free_ports, serving
from moody_pacs import MoodyPacs
from node_host import NodeHost, running
from previous import unpack_previous

pytest.importorskip("pynetdicom")


def test_a_node_goes_on_with_what_the_previous_state_left(tmp_path: Path) -> None:
    """Its repository served, its queue worked off, its deliveries made, what failed retried."""
    previous = unpack_previous(tmp_path / "previous")
    moody, away = MoodyPacs(), MoodyPacs()
    destinations = moody.destination + away.destination.replace('"moody"', '"away"')
    try:
        with serving(previous / "embedded", free_ports()) as server:
            node = NodeHost(
                tmp_path / "node",
                server.grpc_url,
                destinations,
                spool=previous / "spool",
                # What was finished then is not yet old, whenever this runs.
                more="[retention]\ndays = 36500\n",
            )
            with running(node):
                node.wait_for(done=4, rejected=1, ignored=1, failed=1)
                assert len(away.stored) == 3 + 3, "of what was delivering, and of what waited"
                assert len(moody.stored) == 3, "of what waited"
                (failed,) = json.loads(node.run("list", "--state", "failed", "--json").stdout)
                assert node.run("retry", failed["id"]).returncode == 0
                node.wait_for(done=5, failed=0)
                assert len(moody.stored) == len(set(moody.stored)) == 6
                assert node.end() == 0
    finally:
        moody.server.shutdown()
        away.server.shutdown()
