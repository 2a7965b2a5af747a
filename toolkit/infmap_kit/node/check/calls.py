"""Calling the node as its callers do, from this machine."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
from collections.abc import Iterator

from infmap_kit.node.check.look import CheckState, Look
from infmap_kit.node.config import Caller, CStoreDestination, NodeConfig
from infmap_kit.node.dicom.reaching import associated
from infmap_kit.node.dicom.response import AssociationRejected, DestinationUnavailable

_PATIENCE_S = 10.0
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # compared, and not listened on


def look_at_callers(config: NodeConfig) -> Iterator[Look]:
    """Ask the node by C-ECHO under each caller's AE title."""
    from pynetdicom.presentation import build_context
    from pynetdicom.sop_class import Verification

    for number, caller in enumerate(config.callers):
        key, what = ("callers", number), f"C-ECHO from {caller.ae_title}"
        node = way_in(config, caller)
        if node is None:
            why = "callers need a certificate" if config.node.tls else "it may not come from here"
            yield Look(
                key=key, what=what, verdict=CheckState.UNTRIED,
                found=f"{why}: let it ask {config.node.ae_title} itself",
            )  # fmt: skip
            continue
        try:
            with associated(
                node, [build_context(Verification)], ae_title=caller.ae_title
            ) as association:
                is_well = (
                    association.is_established and association.send_c_echo().get("Status") == 0
                )
        except AssociationRejected as error:
            yield Look(
                key=key, what=what, verdict=CheckState.FAULT, found=str(error),
                fix="start the node anew, for it may have read an older file (systemctl restart infmap-node)",
            )  # fmt: skip
        except DestinationUnavailable as error:
            yield Look(
                key=("node", "port"), what=what, verdict=CheckState.FAULT, found=str(error),
                fix="start the node (systemctl start infmap-node), or see why it ended (its journal)",
            )  # fmt: skip
        else:
            verdict = CheckState.GOOD if is_well else CheckState.FAULT
            yield Look(
                key=key, what=what, verdict=verdict, found="answered" if is_well else "not answered"
            )


def way_in(config: NodeConfig, caller: Caller) -> CStoreDestination | None:
    """The node as this machine can call it under a caller's AE title; ``None`` when it cannot."""
    if config.node.tls is not None:
        return None
    host = config.node.host
    own = [_ANY[host], *_own_addresses()] if host in _ANY else [host]
    for address in own:
        # Whoever calls an address of its own machine comes from that address.
        with contextlib.suppress(ValueError):
            if caller.address is not None and ipaddress.ip_address(address) not in caller.address:
                continue
            return CStoreDestination(
                name="node", kind="c-store", host=address, port=config.node.port,
                ae_title=config.node.ae_title, timeout_s=_PATIENCE_S,
            )  # fmt: skip
    return None


def _own_addresses() -> list[str]:
    with contextlib.suppress(OSError):
        return sorted({str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None)})
    return []
