"""The destination of audit messages: one file per day, or the system's log. Lost messages are counted."""

from __future__ import annotations

import datetime as dt
import errno
import json
import os
import pwd
import socket
import threading
from collections.abc import Iterable
from pathlib import Path

from infmap_kit import __version__
from infmap_kit.node.audit.messages import (
    MINOR_FAILURE,
    SUCCESS,
    AuditedObject,
    Message,
    message,
    participant,
)
from infmap_kit.node.config import CStoreDestination, Destination, NodeConfig
from infmap_kit.node.log import Trouble

_PROGRAM = f"infmap-kit {__version__}"
_PRIORITY = 10 * 8 + 5
"""Facility security (10), severity notice (5): RFC 5424, 6.2.1."""


class Trail:
    """The audit log of a node.

    Several processes may write to one: each message is one append.

    Parameters
    ----------
    config
        The node's file; its section ``[audit]`` says where.
    """

    def __init__(self, config: NodeConfig) -> None:
        self._rules = config.audit
        self._spool = config.node.spool
        self._title = config.node.ae_title
        self.folder = audit_folder(config)
        self._trouble = Trouble("audit log")
        self._lock = threading.Lock()
        self._lost = self._not_told = 0
        self._day = ""

    @property
    def lost(self) -> int:
        """Number of messages that this process could not write."""
        return self._lost

    @property
    def trouble(self) -> str:
        """Reason why nothing can be written now; empty when all is well."""
        return self._trouble.reason

    def started(self) -> None:
        """The node begins."""
        self._write(self._activity("110120"))

    def stopped(self) -> None:
        """The node ends."""
        self._write(self._activity("110121"))

    def received(self, subject: AuditedObject, *, caller: str, address: str, action: str) -> None:
        """An object arrived and is on disk.

        Parameters
        ----------
        subject
            The object.
        caller, address
            AE title and address of the sender.
        action
            ``C`` when it is new, ``U`` when it took the place of a damaged one, ``R`` when it was here.
        """
        source = participant(caller, role="110153", is_requestor=True, address=address)
        self._write(
            message(
                "110104",
                source=self._title,
                action=action,
                participants=[source, participant(self._title, role="110152")],
                subjects=[subject],
            )
        )

    def sending(self, subject: AuditedObject, destination: Destination) -> None:
        """An object is about to be sent."""
        self._write(self._transfer("110102", "E", subject, destination, SUCCESS))

    def sent(self, subject: AuditedObject, destination: Destination, *, is_stored: bool) -> None:
        """A destination answered: it has stored an object, or refused it."""
        outcome = SUCCESS if is_stored else MINOR_FAILURE
        self._write(self._transfer("110104", "R", subject, destination, outcome))

    def refused(self, reason: str, *, caller: str, called: str, address: str) -> None:
        """A caller was refused."""
        alert = f"{reason}; it called {called!r}" if called else reason
        self._write(
            message(
                "110113",
                source=self._title,
                action="E",
                kind="110126",
                outcome=MINOR_FAILURE,
                participants=[
                    self._program(),
                    participant(caller or "unknown", is_requestor=True, address=address),
                ],
                alert=alert,
            )
        )

    def forgotten(self, subjects: Iterable[AuditedObject]) -> None:
        """Somebody removed what the node held of a patient."""
        self._write(
            message(
                "110103",
                source=self._title,
                action="D",
                participants=[participant(_login(), is_requestor=True), self._program()],
                subjects=subjects,
            )
        )

    def backed_up(self, file: Path) -> None:
        """Somebody wrote a backup of the node."""
        self._write(self._copied("110106", "R", file, "110154"))

    def restored(self, file: Path) -> None:
        """Somebody restored the node from a backup."""
        self._write(self._copied("110107", "C", file, "110155"))

    def _copied(self, event: str, action: str, file: Path, role: str) -> Message:
        return message(
            event,
            source=self._title,
            action=action,
            participants=[
                participant(_login(), is_requestor=True),
                self._program(),
                participant(str(file), role=role),
            ],
        )

    def _activity(self, kind: str) -> Message:
        return message(
            "110100", source=self._title, action="E", kind=kind, participants=[self._program()]
        )

    def _program(self) -> Message:
        return participant(_PROGRAM, role="110150", title=self._title)

    def _transfer(
        self,
        event: str,
        action: str,
        subject: AuditedObject,
        destination: Destination,
        outcome: int,
    ) -> Message:
        if isinstance(destination, CStoreDestination):
            to = participant(destination.ae_title, role="110152", address=destination.host)
        else:
            to = participant(destination.url, role="110152")
        return message(
            event,
            source=self._title,
            action=action,
            outcome=outcome,
            participants=[participant(self._title, role="110153", is_requestor=True), to],
            subjects=[subject],
        )

    def _write(self, told: Message) -> None:
        """Write a message; one that cannot be written is counted, and the next that can says so."""
        if self._rules.to == "off":
            return
        with self._lock:
            try:
                self._put(told)
                if self._not_told:
                    self._put(self._again(self._not_told))
            except OSError as error:
                self._lost += 1
                self._not_told += 1
                self._trouble.begins(f"it cannot be written: {error.strerror or error}")
                return
            self._not_told = 0
        self._trouble.is_over()

    def _again(self, lost: int) -> Message:
        return message(
            "110113",
            source=self._title,
            action="E",
            kind="110134",
            participants=[self._program()],
            alert=f"messages that could not be written before: {lost}",
        )

    def _put(self, told: Message) -> None:
        line = json.dumps(told, ensure_ascii=False)
        if self._rules.to == "syslog":
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
                log.settimeout(1.0)
                log.connect(str(self._rules.syslog))
                log.send(f"<{_PRIORITY}>infmap-audit: {line}".encode())
            return
        day = dt.datetime.now(dt.UTC).date().isoformat()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # After one that was cut short by a full disk, a line of its own.
        start = "\n" if self._not_told else ""
        self._append(self.folder / f"audit-{day}.jsonl", f"{start}{line}\n".encode())
        if day != self._day:
            self._day = day
            self._prune()

    def _append(self, file: Path, content: bytes) -> None:
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            owner = self._spool.stat()
            if os.geteuid() == 0:
                # Root's commands write into it, too, and the node is another user.
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
                os.chown(self.folder, owner.st_uid, owner.st_gid)
            if os.write(descriptor, content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(descriptor)

    def _prune(self) -> None:
        """Keep the last files; counted, not by age: a wall clock that jumps makes none old."""
        files = sorted(self.folder.glob("audit-*.jsonl"))
        for file in files[: -self._rules.days]:
            file.unlink(missing_ok=True)


def audit_folder(config: NodeConfig) -> Path:
    """Folder of a node's audit log: its own, or ``audit`` in the spool."""
    return config.audit.folder or config.node.spool / "audit"


def _login() -> str:
    """The user who calls a command: the login behind sudo, if there is one."""
    if name := os.environ.get("SUDO_USER"):
        return name
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    # A user of a container without a name.
    except KeyError:
        return str(os.getuid())
