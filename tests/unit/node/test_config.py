"""The node's TOML file: every fault at once, each at its key."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from infmap_kit.errors import NodeError
from infmap_kit.node.config import NodeConfig, find_faults, known_keys, read_config

GOOD = """
[node]
spool = "spool"
ae_title = "INFMAP"

[[callers]]
ae_title = "MODALITY"
address = "10.1.0.0/16"

[[models]]
name = "covid"
url = "127.0.0.1:8001"

[[destinations]]
name = "pacs"
kind = "c-store"
host = "pacs.example"
port = 104
ae_title = "PACS"

[[destinations]]
name = "web"
kind = "stow-rs"
url = "https://pacs.example/dicom-web"

[[rules]]
name = "chest"
model = "covid"
modalities = ["CR", "DX"]
outputs = ["sc", "sr"]
to = ["pacs", "web"]
"""


def _written(folder: Path, text: str) -> Path:
    path = folder / "node.toml"
    path.write_text(text)
    return path


def test_a_good_file_is_read_and_paths_are_beside_it(tmp_path: Path) -> None:
    config = read_config(_written(tmp_path, GOOD))
    assert config.node.spool == tmp_path / "spool"
    assert [destination.kind for destination in config.destinations] == ["c-store", "stow-rs"]
    assert config.rules[0].to == ["pacs", "web"]
    assert config.limits.max_object_mb == 256
    assert find_faults(tmp_path / "node.toml") == []


def test_every_fault_is_named_at_its_key(tmp_path: Path) -> None:
    text = (
        GOOD.replace('ae_title = "INFMAP"', 'ae_title = "A TITLE THAT IS TOO LONG"\nporrt = 4')
        .replace('url = "127.0.0.1:8001"', 'url = "nowhere"')
        .replace("port = 104", "port = 104000")
        .replace('kind = "stow-rs"', 'kind = "ftp"')
        .replace('outputs = ["sc", "sr"]', 'outputs = ["sc", "pdf"]')
        .replace('to = ["pacs", "web"]', 'to = ["pacs", "archive"]\ncallers = ["STRANGER"]')
        .replace('model = "covid"', 'model = "tb"')
        + '\n[limits]\nmax_object_mb = "big"\n[retention]\ndays = 0\n'
    )
    faults = find_faults(_written(tmp_path, text))
    assert {fault.partition(":")[0] for fault in faults} == {
        "node.ae_title",
        "node.porrt is no key, meant is perhaps port",
        "models[0].url",
        "destinations[0].port",
        "destinations[1].kind",
        "rules[0].outputs[1]",
        "rules[0].to",
        "rules[0].callers",
        "rules[0].model",
        "limits.max_object_mb",
        "retention.days",
    }
    with pytest.raises(NodeError, match=r"has 11 faults: .*rules\[0\]\.to: 'archive' is not among"):
        read_config(tmp_path / "node.toml")


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ('[node]\nspool = "spool"', "[node]", "node.spool is missing"),
        ('name = "web"', 'name = "pacs"', "destinations: 'pacs' is defined 2 times"),
        ('address = "10.1.0.0/16"', 'address = "ten"', "callers[0].address"),
        (
            "port = 104",
            "port = 104\ntls = {ca = 'gone.pem'}",
            "destinations[0].tls.ca: there is no",
        ),
        (
            'dicom-web"',
            "dicom-web\"\nuser = 'me'",
            "destinations[1]: user and password_file go together",
        ),
        ('to = ["pacs", "web"]', "", "rules[0].to is missing"),
        ('[[callers]]\nae_title = "MODALITY"\naddress = "10.1.0.0/16"', "", "callers is missing"),
        ('name = "covid"', "name = 3", "models[0].name"),
    ],
)
def test_single_faults(tmp_path: Path, before: str, after: str, fault: str) -> None:
    assert before in GOOD
    faults = find_faults(_written(tmp_path, GOOD.replace(before, after)))
    assert any(actual.startswith(fault) for actual in faults), faults


def test_what_is_no_toml_and_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="is not TOML: .*line 1"):
        read_config(_written(tmp_path, "node = 1 = 2"))
    with pytest.raises(NodeError, match="cannot read .*nowhere.toml: No such file"):
        read_config(tmp_path / "nowhere.toml")


def test_a_folder_may_stand_for_a_caller(tmp_path: Path) -> None:
    text = GOOD.replace('model = "covid"', 'model = "covid"\ncallers = ["FOLDER"]')
    assert find_faults(_written(tmp_path, text)) == []


def test_the_documented_file_is_good(tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs" / "node.md"
    text = page.read_text().partition("```toml\n")[2].partition("```")[0]
    (tmp_path / "archive.token").write_text("secret")
    path = _written(tmp_path, text)
    assert find_faults(path) == []
    plain, documented = NodeConfig.model_fields, tomllib.loads(text)
    assert set(documented) == set(plain), "every section is shown"
    shown = {key for section in documented.values() for key in _keys(section)}
    left_out = {"tls", "user", "password_file"}
    assert {key for key in known_keys() if key not in shown | left_out | set(plain)} <= {
        *("ca", "certificate", "key"),
    }


def _keys(section: Any) -> set[str]:
    entries = section if isinstance(section, list) else [section]
    return {key for entry in entries for key in entry}
