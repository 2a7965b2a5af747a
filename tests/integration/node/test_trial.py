"""`infmap-kit node test` against a running node, Triton and Orthanc."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from commands import run_command
from infmap_kit.triton.server.process import TritonServer
from node_host import CALLER, NodeHost, c_store_to, running, stow_to
from orthanc import AE_TITLE, Orthanc, running_orthanc

pytest.importorskip("pynetdicom")


def _tried(host: NodeHost, *more: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code, and the looks by what was looked at."""
    done = run_command("infmap-kit", "node", "test", host.config, "--json", *more)
    assert done.stdout, done.stderr
    return done.returncode, {look["what"]: look for look in json.loads(done.stdout)["looks"]}


def test_one_radiograph_through_each_rule_to_each_destination(
    tmp_path: Path, triton: TritonServer
) -> None:
    """Orthanc answers C-FIND only to modalities that it knows, and QIDO-RS to all."""
    modalities = {"node": ["INFMAP", "127.0.0.1", 104]}
    hands = '[[rules]]\nname = "hands"\nmodel = "covid"\nbody_parts = ["HAND"]\nto = []\n'
    folder = '[[rules]]\nname = "folder"\nmodel = "covid"\ncallers = ["FOLDER"]\nto = ["web"]\n'
    with running_orthanc(tmp_path / "pacs", DicomModalities=modalities) as pacs:
        host = NodeHost(
            tmp_path, triton.grpc_url, c_store_to(pacs) + stow_to(pacs), callers=(CALLER, AE_TITLE),
            more=folder + hands,
        )  # fmt: skip
        with running(host):
            code, looks = _tried(host)
        verdicts = {what: look["verdict"] for what, look in looks.items()}
        assert verdicts["C-ECHO to pacs"] == verdicts["QIDO-RS to web"] == "good"
        assert verdicts[f"C-ECHO from {CALLER}"] == verdicts[f"C-ECHO from {AE_TITLE}"] == "good"
        assert looks["rule chest"]["verdict"] == "good"
        assert "by C-STORE" in looks["rule chest"]["found"]
        assert looks["rule chest to pacs"]["found"] == "3 objects delivered and found again"
        assert looks["rule chest to web"]["found"] == "3 objects delivered and found again"
        assert "by way of the spool" in looks["rule folder"]["found"]
        assert looks["rule hands"]["verdict"] == "fault", (
            "a hand is no chest, whatever the rule says"
        )
        assert "not-a-chest" in looks["rule hands"]["found"]
        assert code == 1
        assert sum(host.status()["images"].values()) == 0, "nothing of it stays in the node"
        stays = [what for what, verdict in verdicts.items() if verdict == "note"]
        assert (pacs.count() == 0) == (not stays)
        assert all("INFMAP-TEST" in looks[what]["fix"] for what in stays)


def test_a_node_that_does_not_run_and_a_pacs_that_refuses_are_named(
    tmp_path: Path, triton: TritonServer, orthanc: Orthanc
) -> None:
    host = NodeHost(tmp_path, triton.grpc_url, c_store_to(orthanc))
    before = orthanc.count()  # other tests share this PACS
    code, looks = _tried(host)
    assert code == 1
    assert looks["the node"]["verdict"] == "fault"
    assert looks["the node"]["line"] == 1
    assert orthanc.count() == before
