"""Checks of this machine against a node's file: folder and user, space, ports, clock."""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from infmap_kit.errors import NodeError
from infmap_kit.node.audit.trail import audit_folder
from infmap_kit.node.check.lines import Key
from infmap_kit.node.check.look import CheckState, Look
from infmap_kit.node.config import ClientTls, NodeConfig, ServerTls
from infmap_kit.node.dicom.tls import expires_at_s
from infmap_kit.node.spool import Spool, is_running

_NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p")
_SERVICE_USER = "infmap-node"
"""The user of the units that `deploy systemd` writes."""
_LAST_PRIVILEGED_PORT = 1023
_RENEW_DAYS = 30


def look_at_machine(config: NodeConfig) -> Iterator[Look]:
    """Look at everything on this machine that a good file needs."""
    yield from _space(config)
    yield from _user(config)
    yield from _ports(config)
    yield from _certificates(config)
    yield from _audit(config)
    yield from _clock()


def runs(config: NodeConfig) -> bool | None:
    """Whether the node of a file runs; ``None`` when this user may not know."""
    try:
        return (config.node.spool / "node.lock").exists() and is_running(Spool(config.node.spool))
    except (OSError, NodeError):
        return None


def _space(config: NodeConfig) -> Iterator[Look]:
    folder = _nearest(config.node.spool)
    disk = shutil.disk_usage(folder)
    free_mib, needed_mib = disk.free >> 20, config.limits.keep_free_mb
    found = f"{free_mib} MiB are free on the disk of {folder}, of which {needed_mib} are kept"
    if free_mib <= needed_mib:
        yield Look(
            key=("limits", "keep_free_mb") if config.limits.model_fields_set else ("node", "spool"),
            what="free space",
            verdict=CheckState.FAULT,
            found=f"{found}: every radiograph would be refused (0xA700)",
            fix="put the spool on a larger disk, or lower [limits] keep_free_mb",
        )
    else:
        yield Look(key=("node", "spool"), what="free space", found=found)
    if config.retention.max_gb * 2**30 > disk.total:
        yield Look(
            key=("retention", "max_gb"),
            what="retention",
            verdict=CheckState.NOTE,
            found=f"up to {config.retention.max_gb:g} GB are kept, and the disk has {disk.total / 2**30:.0f}",
            fix="lower [retention] max_gb, so that old radiographs go before the disk is full",
        )
    kind = _file_system(folder)
    if kind in _NETWORK_FILE_SYSTEMS:
        yield Look(
            key=("node", "spool"),
            what="file system",
            verdict=CheckState.FAULT,
            found=f"{folder} is on {kind}, where neither locks nor SQLite's log can be relied on",
            fix="put the spool on a disk of this machine",
        )


def _user(config: NodeConfig) -> Iterator[Look]:
    """Check whether the user that the node runs as may read and write what the file names."""
    folder, user = config.node.spool, _runs_as(config)
    if user is None:
        return
    is_good = True
    if folder.exists() and folder.stat().st_uid != user.pw_uid:
        is_good, owner = False, folder.stat().st_uid
        yield Look(
            key=("node", "spool"),
            what="user",
            verdict=CheckState.FAULT,
            found=f"{folder} belongs to user {owner}, and not to {user.pw_name}",
            fix=f"run the node, and this check, as the folder's user, or chown -R {user.pw_name} {folder}",
        )
    for key, path in _files(config):
        if not _may_read(user, path):
            is_good = False
            yield Look(
                key=key,
                what="user",
                verdict=CheckState.FAULT,
                found=f"{path} cannot be read by {user.pw_name}",
                fix=f"chgrp {user.pw_name} and chmod 640 it, and let its folders be entered",
            )
    if is_good:
        yield Look(
            key=("node", "spool"), what="user", found=f"{user.pw_name}, who may read all files"
        )


def _runs_as(config: NodeConfig) -> pwd.struct_passwd | None:
    """The user that the node runs as; ``None`` when it cannot be told."""
    folder = config.node.spool
    try:
        if os.geteuid() != 0:
            return pwd.getpwuid(os.geteuid())
        if folder.exists() and folder.stat().st_uid != 0:
            return pwd.getpwuid(folder.stat().st_uid)
        return pwd.getpwnam(_SERVICE_USER)
    # A user of a container without a name, or a machine without the service's user.
    except KeyError:
        return None


def _audit(config: NodeConfig) -> Iterator[Look]:
    """Check whether the audit log can be written."""
    key, what = ("audit", "to"), "audit log"
    if config.audit.to == "off":
        yield Look(
            key=key, what=what, verdict=CheckState.NOTE,
            found="nothing records who received and sent what", fix='to = "file" in [audit]',
        )  # fmt: skip
        return
    if config.audit.to == "syslog":
        place, user = config.audit.syslog, None
        is_good = place.is_socket()
    else:
        place, user = _nearest(audit_folder(config)), _runs_as(config)
        # In the spool, its owner is the node's user, which is looked at by itself.
        is_inside = config.audit.folder is None
        is_good = is_inside or user is None or _may(user, place, stat.S_IWOTH)
    if is_good:
        yield Look(key=key, what=what, found=f"to {config.audit.to}: {place}")
        return
    name = "this user" if user is None else user.pw_name
    yield Look(
        key=key, what=what, verdict=CheckState.FAULT, found=f"{place} cannot be written by {name}",
        fix="give it to the node's user, or name another folder or log in [audit]",
    )  # fmt: skip


def _files(config: NodeConfig) -> Iterator[tuple[Key, Path]]:
    """Every file that the configuration names, with its key."""
    sections: list[tuple[Key, object]] = [(("node", "tls"), config.node.tls)]
    for number, destination in enumerate(config.destinations):
        place: Key = ("destinations", number)
        sections += [(place, destination), ((*place, "tls"), destination.tls)]
    for key, section in sections:
        for name in ("certificate", "key", "ca", "token_file", "password_file"):
            path = getattr(section, name, None)
            if path is not None:
                yield (*key, name), path


def _may_read(user: pwd.struct_passwd, path: Path) -> bool:
    return _may(user, path, stat.S_IROTH)


def _may(user: pwd.struct_passwd, path: Path, bits_of_others: int) -> bool:
    groups = os.getgrouplist(user.pw_name, user.pw_gid)

    def may(what: Path, bits: int) -> bool:
        found = what.stat()
        shift = 6 if found.st_uid == user.pw_uid else 3 if found.st_gid in groups else 0
        return bool(found.st_mode >> shift & bits)

    if user.pw_uid == 0:
        return True
    try:
        return may(path, bits_of_others) and all(may(one, stat.S_IXOTH) for one in path.parents)
    except OSError:
        return False


def _ports(config: NodeConfig) -> Iterator[Look]:
    is_up = runs(config)
    listeners = (
        ("node", config.node.host, config.node.port),
        ("status", config.status.host, config.status.port),
    )
    for section, host, port in listeners:
        key = (section, "port")
        what = f"port {port}"
        if is_up:
            yield Look(key=key, what=what, found="the node runs, and has it")
            continue
        try:
            (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            with socket.socket(family, kind, protocol) as listening:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listening.bind(address)
                listening.listen()
        except OSError as error:
            fix = "end what listens there (ss -ltnp shows it), or choose another port"
            if error.errno == errno.EACCES:
                fix = "a port above 1023, or `infmap-kit deploy systemd --low-port`"
            yield Look(
                key=key,
                what=what,
                verdict=CheckState.UNTRIED if is_up is None else CheckState.FAULT,
                found=f"it cannot be listened on: {(error.strerror or '').lower()}",
                fix=fix,
            )
            continue
        if port <= _LAST_PRIVILEGED_PORT and os.geteuid() == 0:
            yield Look(
                key=key, what=what, verdict=CheckState.NOTE,
                found="root may listen on it, and the service's user may not",
                fix="write the units with `infmap-kit deploy systemd --low-port`",
            )  # fmt: skip
        else:
            yield Look(key=key, what=what, found="free")


def _certificates(config: NodeConfig) -> Iterator[Look]:
    """Check whether a certificate of the node ends soon; the file's check says whether it can be used."""
    sections: list[tuple[Key, ServerTls | ClientTls | None]] = [(("node", "tls"), config.node.tls)]
    for number, destination in enumerate(config.destinations):
        sections.append((("destinations", number, "tls"), destination.tls))
    for key, tls in sections:
        if tls is None or tls.certificate is None:
            continue
        try:
            left_days = (expires_at_s(tls.certificate, tls.key) - time.time()) / 86_400
        # Of a kind that nobody but its own peers can verify.
        except (OSError, LookupError):
            continue
        found = f"{tls.certificate.name} ends in {left_days:.0f} days"
        if left_days < _RENEW_DAYS:
            yield Look(
                key=(*key, "certificate"), what="certificate", verdict=CheckState.NOTE, found=found,
                fix="renew it, and start the node anew",
            )  # fmt: skip
        else:
            yield Look(key=(*key, "certificate"), what="certificate", found=found)


def _clock() -> Iterator[Look]:
    """Check whether the clock follows a time server, by systemd's word."""
    command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)  # noqa: S603  # our own command line
        answer = done.stdout.strip() if done.returncode == 0 else ""
    except (OSError, subprocess.TimeoutExpired):
        answer = ""
    verdict, found, fix = {
        "yes": (CheckState.GOOD, "it follows a time server", ""),
        "no": (
            CheckState.NOTE,
            "it follows no time server",
            "timedatectl set-ntp true: certificates and the times in results depend on it",
        ),
    }.get(answer, (CheckState.UNTRIED, "systemd cannot be asked about it", ""))
    yield Look(key=(), what="clock", verdict=verdict, found=found, fix=fix)


def _nearest(folder: Path) -> Path:
    return next(one for one in (folder, *folder.parents) if one.exists())


def _file_system(folder: Path) -> str:
    """Kind of the file system that a folder is on, as the kernel calls it."""
    resolved, kinds = str(folder.resolve()), {}
    for line in (
        Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    ):
        _, place, kind, *_ = line.split(" ")
        if resolved == place or resolved.startswith(place.rstrip("/") + "/"):
            kinds[len(place)] = kind
    return kinds[max(kinds)] if kinds else ""
