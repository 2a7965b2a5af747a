"""What `infmap-kit deploy gateway` writes, and what it refuses to write."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infmap_kit.errors import ServerError
from infmap_kit.host.gateway import GatewayOptions, configuration, write_gateway


def _options(**changes: Any) -> GatewayOptions:
    usual: dict[str, Any] = {
        "names": ("gate.example",),
        "certificate": Path("/etc/gate.pem"),
        "certificate_key": Path("/etc/gate.key"),
        "client_ca": Path("/etc/ca.pem"),
    }
    return GatewayOptions(**{**usual, **changes})


def _write(folder: Path, *callers: str) -> dict[str, str]:
    return write_gateway(folder, _options(client_ca=None, key_callers=callers))


def test_keys_are_kept_and_callers_are_added(tmp_path: Path) -> None:
    first = _write(tmp_path, "ward", "archive")
    second = _write(tmp_path, "ward", "icu")
    assert (set(first), set(second)) == ({"ward", "archive"}, {"icu"})
    written = (tmp_path / "callers.conf").read_text()
    for name, key in {**first, **second}.items():
        assert len(key) >= 43
        assert f'"Bearer {key}" "{name}";' in written


def test_a_caller_whose_line_is_deleted_gets_another_key(tmp_path: Path) -> None:
    (old,) = _write(tmp_path, "ward").values()
    (tmp_path / "callers.conf").write_text("# nobody\n\n")
    (new,) = _write(tmp_path, "ward").values()
    assert old not in (tmp_path / "callers.conf").read_text()
    assert new != old


def test_keys_are_for_their_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        _write(tmp_path / "gate", "ward")
    finally:
        os.umask(before)
    for path, mode in (("gate", 0o700), ("gate/callers.conf", 0o600)):
        assert stat.S_IMODE((tmp_path / path).stat().st_mode) == mode


def test_a_file_of_callers_that_is_not_ours_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "callers.conf").write_text('"Bearer k" "ward";\nsecret\n')
    with pytest.raises(ServerError, match=r"callers\.conf:2: expected a line like"):
        _write(tmp_path, "ward")
    assert (tmp_path / "callers.conf").read_text().endswith("secret\n")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"client_ca": None}, "must know its callers"),
        ({"client_ca": None, "key_callers": ("a",), "allowed": ("b",)}, "give --client-ca too"),
        ({"names": ()}, "give --name"),
        ({"names": ("gate.example;}",)}, "host name"),
        ({"names": ("gate|.*",)}, "host name"),
        ({"allowed": ('x" "y',)}, "caller's name"),
        ({"key_callers": ("$uri",)}, "caller's name"),
        ({"listen": "8443"}, "address"),
        ({"grpc_upstream": "127.0.0.1:99999"}, "1 to 65535"),
        ({"http_upstream": "unix:/x"}, "address"),
        ({"certificate": Path('/x";}')}, "cannot be told a path"),
        ({"modules": Path("/a b;c")}, "cannot be told a path"),
        ({"body_mib": 0}, "1 to 10000"),
        ({"connections": 20_000}, "1 to 10000"),
    ],
)
def test_what_nginx_would_misread_is_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ServerError, match=reason):
        _options(**changes)


@given(st.text(min_size=1), st.sampled_from(["names", "allowed", "key_callers"]))
def test_no_name_opens_or_ends_a_directive(name: str, where: str) -> None:
    try:
        text = configuration(_options(**{where: (name,)}))
    except ServerError:
        return
    assert len(re.findall("[{};]", text)) == len(
        re.findall("[{};]", configuration(_options(**{where: ("a",)})))
    )


def test_the_command_says_how_to_start_it(tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "infmap_kit", "deploy", "gateway", "--name", "gate.example"),
        *("--certificate", "gate.pem", "--certificate-key", "gate.key", "--key", "ward"),
        *("--output", str(tmp_path / "gate")),
    ]
    told = json.loads(subprocess.run([*command, "--json"], capture_output=True, check=True).stdout)
    assert told["start"] == ["nginx", "-p", str(tmp_path / "gate"), "-c", "nginx.conf"]
    assert set(told["keys"]) == {"ward"}
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told["keys"]["ward"] not in again.stdout + again.stderr
    bare = subprocess.run(command[:-4], capture_output=True, text=True, check=False)
    assert (bare.returncode, bare.stderr.count("\n")) == (1, 1)
    assert "must know its callers" in bare.stderr
