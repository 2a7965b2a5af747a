"""The kit on an empty Debian that systemd runs and no network reaches: installed, asked, upgraded, gone.

A root made by debootstrap is booted by systemd-nspawn, with a network namespace in which there is nothing. What
is done there is a shell script; what it printed is looked at here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = "python3-venv,libpython3.11,systemd-sysv,dbus,openssl"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.getuid() != 0 or not all(map(shutil.which, ("debootstrap", "systemd-nspawn"))),
        reason="needs root, debootstrap and systemd-nspawn (Debian: systemd-container)",
    ),
    pytest.mark.skipif(
        sys.version_info[:2] != (3, 11),
        reason="the kit is made for Debian 12's Python, by the same",
    ),
]

_UNIT = """[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'sh /root/inside.sh >/root/log 2>&1; poweroff'
TimeoutStartSec=infinity
"""

_INSIDE = r"""
kit=/opt/infmap-kit/current/bin/infmap-kit state=/var/lib/infmap-kit
export HOME=/root LC_ALL=C.UTF-8
told() { echo "<$1> $2"; }
active() { told "$1" "$(systemctl is-active infmap-serve) $(systemctl is-active infmap-node)"; }
releases() { told "$1" "$($kit versions --repository $state/model_repository --json | tr -d '\n')"; }
cd /root && tar xf infmap-kit.tar && cp -R infmap-kit-* later && cd infmap-kit-*
told networks "$(ls /sys/class/net)"
[ -f Containerfile ]; told containerfile $?

./install --public-key ../key.pub.pem; told installed $?
active after-install
releases first
ls /opt/infmap-kit/current/docs/html/node.html; told html $?
$kit demo --output /root/demo --json >/root/demo.json; told demo $?
./install; told again $?
releases second

$kit synthesize --output /root/drawn --count 1 --size 512
$kit infer /root/drawn/images --output /root/maps --json; told inferred $?
# The PACS of the example is nobody's.
$kit node check --offline /etc/infmap-kit/node.toml && systemctl enable --now infmap-node; told node $?
active with-node
systemctl start infmap-doctor; told doctor $?

kill -9 "$(systemctl show --property MainPID --value infmap-serve)"
for _ in $(seq 300); do
  sleep 1
  [ "$(systemctl show --property NRestarts --value infmap-serve)" = 1 ] &&
    [ "$(systemctl is-active infmap-serve)" = active ] && break
done
active after-a-kill
told node-restarts "$(systemctl show --property NRestarts --value infmap-node)"

before=$(readlink /opt/infmap-kit/current)
cd ../later && echo more >>docs/node.md
grep -v ' docs/node.md$' SHA256SUMS >sums; sha256sum docs/node.md >>sums; mv sums SHA256SUMS
./install; told altered $?
openssl pkeyutl -sign -inkey ../key.pem -rawin -in SHA256SUMS -out SHA256SUMS.ed25519
./install; told upgraded $?
after=$(readlink /opt/infmap-kit/current)
[ "$before" != "$after" ]; told another $?
active after-upgrade
/opt/infmap-kit/install rollback; told back $?
[ "$(readlink /opt/infmap-kit/current)" = "$before" ]; told as-before $?
active after-rollback

/opt/infmap-kit/install uninstall; told uninstalled $?
active after-uninstall
left=$(ls -d /opt/infmap-kit /etc/infmap-kit/node.toml $state/model_repository /var/lib/infmap-node)
told left "$(echo $left)"
"""


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty Debian 12."""
    root = tmp_path_factory.mktemp("debian") / "root"
    # Without one debootstrap takes its own.
    mirror = [os.environ["DEBIAN_MIRROR"]] if "DEBIAN_MIRROR" in os.environ else []
    options = ["--variant=minbase", f"--include={PACKAGES}", "bookworm"]
    made = subprocess.run(
        ["debootstrap", *options, str(root), *mirror], capture_output=True, text=True, check=False
    )
    if made.returncode:
        pytest.skip(f"needs Debian's packages: {made.stdout.splitlines()[-1:]}")
    yield root
    shutil.rmtree(root, ignore_errors=True)


def _run(*words: str | Path) -> None:
    subprocess.run(words, check=True, cwd=ROOT)


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory, demo_model: Path) -> Path:
    """A folder with a kit of the demo model, and the keys that signed it."""
    folder = tmp_path_factory.mktemp("kit")
    _run("openssl", "genpkey", "-algorithm", "ed25519", "-out", folder / "key.pem")
    _run("openssl", "pkey", "-in", folder / "key.pem", "-pubout", "-out", folder / "key.pub.pem")
    wheel = ["uv", "build", "--quiet", "--wheel", "--no-build-isolation"]
    for package in (".", "packages/demo"):
        _run(sys.executable, "-m", *wheel, "--out-dir", folder / "dist", package)
    # What `make sbom` adds is described elsewhere (test_supply_chain.py), and of no effect here.
    for name in ("infmap_kit.cdx.json", "THIRD-PARTY-LICENSES.txt"):
        (folder / "dist" / name).write_text("{}")
    program, key = [sys.executable, "-m", "infmap_kit"], ["--sign", str(folder / "key.pem")]
    _run(*program, "bundle", demo_model, "--output", folder / "unet.bundle", *key)
    given = [
        "--bundle",
        str(folder / "unet.bundle"),
        *key,
        "--dist",
        str(folder / "dist"),
        "--demo",
    ]
    _run(*program, "kit", "build", *given, "--output", folder / "infmap-kit.tar")
    return folder


@pytest.fixture(scope="module")
def told(debian: Path, kit: Path) -> dict[str, str]:
    """What the script inside told, by subject; the whole log under ``log``."""
    for name in ("infmap-kit.tar", "key.pem", "key.pub.pem"):
        shutil.copy(kit / name, debian / "root" / name)
    (debian / "root/inside.sh").write_text(_INSIDE)
    units = debian / "etc/systemd/system"
    (units / "kit-test.service").write_text(_UNIT)
    (units / "default.target.wants").mkdir(exist_ok=True)
    (units / "default.target.wants/kit-test.service").symlink_to("../kit-test.service")
    # nspawn keeps its own state in /run/systemd, which must lie in memory.
    boot = (
        "mkdir -p /run/systemd && mount -t tmpfs tmpfs /run/systemd && exec systemd-nspawn "
        f"--directory={debian} --register=no --keep-unit --private-network --console=pipe --boot"
    )
    command = ["unshare", "--mount", "sh", "-c", boot]
    subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=3000
    )
    log = (debian / "root/log").read_text()
    found = dict(re.findall(r"^<([a-z-]+)> (.*)$", log, re.MULTILINE))
    return {**found, "log": log}


def test_it_is_installed_without_a_network_and_once(told: dict[str, str]) -> None:
    assert told["networks"] == "lo"
    assert told["installed"] == "0", told["log"]
    assert told["after-install"] == "active inactive", "the node waits for its settings"
    assert told["again"] == "0", told["log"]
    assert told["html"] == "0", "the pages for a browser"
    assert told["containerfile"] == "0"
    assert told["demo"] == "0", told["log"]
    assert json.loads(told["first"]) == json.loads(told["second"]), "the model is installed once"


def test_it_judges_and_is_watched(told: dict[str, str]) -> None:
    assert told["inferred"] == "0", told["log"]
    assert told["node"] == "0", told["log"]
    assert told["with-node"] == "active active"
    assert told["doctor"] == "0", told["log"]
    assert told["after-a-kill"] == "active active"
    assert told["node-restarts"] == "0", told["log"]


def test_it_is_upgraded_goes_back_and_leaves_data(told: dict[str, str]) -> None:
    assert told["altered"] == "1", "sums that the key did not sign"
    assert told["upgraded"] == told["another"] == told["back"] == told["as-before"] == "0", told[
        "log"
    ]
    assert told["after-upgrade"] == told["after-rollback"] == "active active"
    assert told["uninstalled"] == "0"
    assert told["after-uninstall"] == "inactive inactive"
    left = told["left"].split()
    assert left == [
        "/etc/infmap-kit/node.toml",
        "/var/lib/infmap-kit/model_repository",
        "/var/lib/infmap-node",
    ]
