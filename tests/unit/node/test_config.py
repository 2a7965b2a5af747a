"""The node's TOML file: every fault at once, each at its key."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from infmap_kit.errors import NodeError
from infmap_kit.node.check.lines import lines_of
from infmap_kit.node.check.reading import find_faults, find_notes, known_keys, read_config
from infmap_kit.node.config import NodeConfig
from node_tls import make_certificates

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
    assert all(re.match(r"line \d+: ", fault) for fault in faults)
    assert {fault.split(": ")[1] for fault in faults} == {
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
        ('name = "web"', 'name = "pacs"', "destinations[1].name: 'pacs' is defined 2 times"),
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
    assert any(re.sub(r"^line \d+: ", "", actual).startswith(fault) for actual in faults), faults


def _line_of(text: str, part: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), start=1) if part in line)


@pytest.mark.parametrize(
    ("before", "after", "where", "told"),
    [
        ("", "[status]\nport = 11112\n", "port = 11112", "status.port: 11112 is [node]'s port, too"),
        ("127.0.0.1:8001", "127.0.0.1:8088", "8088", "is the node itself"),
        ('host = "pacs.example"\nport = 104', 'host = "127.0.0.1"\nport = 11112', "port = 11112", "to itself"),
        ('spool = "spool"', 'spool = "node.toml"', "spool", "expected a folder"),
        ('spool = "spool"', 'spool = "node.toml/in"', "spool", "node.toml is none"),
        ('spool = "spool"', 'spool = "s"\nhost = "300.1.1.1"', "300.1", "expected a host's name or address"),
        ('spool = "spool"', 'spool = "s"\nhost = "192.0.2.77"', "192.0", "cannot be listened on"),
        ("127.0.0.1:8001", "300.1.1.1:8001", "300.1", 'models[0].url: expected "host:port"'),
        ("127.0.0.1:8001", "nowhere", "nowhere", 'expected "host:port"'),
        ("127.0.0.1:8001", "127.0.0.1:70000", "70000", "port from 1 to 65535"),
        ("https://pacs.example/", "https://pacs.example:70000/", "70000", "port from 1 to 65535"),
        ("pacs.example", "radiology-archive-of-the-hospital-by-the-lake,2", "lake,2", "host's name or address"),
        ('spool = "spool"', 'spool = "a\\u0000b"', "u0000", "node.spool: expected a path"),
        ("port = 104", "port = 104\ntimeout_s = inf", "inf", "destinations[0].timeout_s: "),
        ("port = 104", "port = 104\nmax_wait_s = 1e300", "1e300", "destinations[0].max_wait_s: "),
        ("https://pacs.example/", "https://300.1.1.1/", "300.1", "destinations[1].url: expected"),
        ("https://pacs.example/", "ftp://pacs.example/", "ftp:", 'expected "https://host:port/path"'),
        ('["CR", "DX"]', '["CR", "MR"]', "modalities", "rules[0].modalities[1]: no radiograph has 'MR'"),
        ('["CR", "DX"]', '["OT"]', "modalities", "no radiograph has 'OT' without secondary_captures"),
        ('to = ["pacs", "web"]', 'to = ["pacs"]', 'name = "web"', "no rule sends to 'web'"),
        ("[[destinations]]", '[[models]]\nname = "spare"\n[[destinations]]', "spare", "no rule asks 'spare'"),
        ('name = "covid"', 'name = "co vid"', "co vid", "letters, digits, dots"),
        ('ae_title = "PACS"', 'ae_title = "PA\\\\CS"', "CS", "characters without a backslash"),
        (
            "", '[[rules]]\nname = "late"\nmodel = "covid"\nto = []\nmodalities = ["DX"]\n', "late",
            "rules[1]: it is never reached, because 'chest'",
        ),
    ],
)  # fmt: skip
def test_what_can_never_work_is_told_at_its_line(
    tmp_path: Path, before: str, after: str, where: str, told: str
) -> None:
    text = GOOD.replace(before, after, 1) if before else GOOD + after
    assert text != GOOD
    faults = find_faults(_written(tmp_path, text))
    told_at = [fault for fault in faults if told in fault]
    assert len(told_at) == 1, faults
    assert "^" not in told_at[0], "no pattern is shown"
    line = int(told_at[0].partition(":")[0].removeprefix("line "))
    # A table's own fault is at its header.
    assert line in (_line_of(text, where), _line_of(text, where) - 1)


def test_a_rule_that_takes_other_radiographs_is_reached(tmp_path: Path) -> None:
    for more in ('modalities = ["DR"]', "modalities = []", 'modalities = ["CR", "DX", "DR"]'):
        rule = f'[[rules]]\nname = "late"\nmodel = "covid"\nto = []\n{more}\n'
        assert find_faults(_written(tmp_path, GOOD + rule)) == []


def test_a_pacs_whose_c_echo_would_be_refused_is_noted(tmp_path: Path) -> None:
    file = _written(tmp_path, GOOD)
    titles = {caller.ae_title for caller in read_config(file).callers}
    sent = [one for one in read_config(file).destinations if one.kind == "c-store"]
    (note,) = find_notes(file)
    assert f"destinations[0].ae_title: {sent[0].ae_title!r} is not among the callers" in note
    assert note.startswith("line ")
    assert sent[0].ae_title not in titles
    heard = f'[[callers]]\nae_title = "{sent[0].ae_title}"\n'
    assert find_notes(_written(tmp_path, f"{GOOD}\n{heard}")) == []


def test_certificates_and_keys_are_tried(tmp_path: Path) -> None:
    pem = make_certificates(tmp_path / "pem")
    (tmp_path / "no.pem").write_text("no certificate")
    encrypt = f"openssl rsa -aes256 -passout pass:x -in {pem['node']} -out locked.key"
    subprocess.run(encrypt.split(), check=True, capture_output=True, cwd=tmp_path)
    for table, told in (
        (pem.toml("node"), None),
        (
            f'{{ certificate = "{pem["node"]}", key = "{pem["modality"]}" }}',
            "another certificate's",
        ),
        (
            f'{{ certificate = "no.pem", key = "{pem["node"]}" }}',
            "expected a certificate and its key",
        ),
        (
            f'{{ certificate = "{pem["node"]}", key = "no.pem" }}',
            "expected a certificate and its key",
        ),
        (
            f'{{ certificate = "{pem["node"]}", key = "{pem["node"]}", ca = "no.pem" }}',
            "node.tls.ca",
        ),
        (pem.toml("expired"), "others refuse it: certificate has expired"),
        (f'{{ certificate = "{pem["node"]}", key = "locked.key" }}', "the key has a passphrase"),
    ):
        faults = find_faults(
            _written(tmp_path, GOOD.replace('"INFMAP"', f'"INFMAP"\ntls = {table}'))
        )
        assert [bool(told and told in fault) for fault in faults] == [True] * bool(told), faults


def test_a_byte_order_mark_and_another_code(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text(GOOD, encoding="utf-8-sig")
    assert find_faults(path) == []
    assert read_config(path).node.ae_title == "INFMAP"
    path.write_text(GOOD, encoding="utf-16")
    with pytest.raises(NodeError, match="expected text in UTF-8"):
        find_faults(path)


def test_lines_of_whatever_toml_allows() -> None:
    text = (
        '# first\n\na.b = 1\n[t]\nlong = [\n  1, # [x]\n  2,\n]\ntext = """\n[no]\nk = 1\n"""\n'
        "[[r]]\nx = 1\n[r.in]\ny = 2\n[[r]]\nx = {q = 1}\n[[r.s]]\n'odd key' = 1\n"
    )
    lines = lines_of(text)
    assert lines["a", "b"] == 3
    assert lines["t", "long"] == 5
    assert lines["t", "text"] == 9
    assert ("no",) not in lines
    assert (lines["r", 0, "x"], lines["r", 0, "in", "y"]) == (14, 16)
    assert (lines["r", 1, "x", "q"], lines["r", 1, "s", 0, "odd key"]) == (18, 20)


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
