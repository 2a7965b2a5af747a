"""Contradictions in a node's TOML file whose keys are all good, and settings that can never work."""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
from collections.abc import Iterator, Sequence

from infmap_kit.errors import NodeError
from infmap_kit.imaging.dicom.acceptance import CAPTURE_MODALITIES, MODALITIES
from infmap_kit.node.check.lines import Key
from infmap_kit.node.config import (
    ClientTls,
    CStoreDestination,
    NodeConfig,
    Rule,
    ServerTls,
    StowDestination,
)
from infmap_kit.node.dicom.tls import client_tls, out_of_date, server_tls

Fault = tuple[Key, str]
"""The key of a fault, and the text of its line from the colon on."""


def contradictions(config: NodeConfig) -> Iterator[Fault]:
    """Contradictory settings: two listeners on one port, or the node as its own server or destination."""
    node, status = config.node, config.status
    if node.port == status.port and _overlap(node.host, status.host):
        yield ("status", "port"), f": {status.port} is [node]'s port, too"
    listening = ((node.host, node.port), (status.host, status.port))
    for number, model in enumerate(config.models):
        host, _, port = model.url.rpartition(":")
        if _is_own(host, int(port), listening):
            yield ("models", number, "url"), f": {model.url} is the node itself, and not Triton"
    for number, destination in enumerate(config.destinations):
        key = ("destinations", number)
        if isinstance(destination, CStoreDestination) and _is_own(
            destination.host, destination.port, listening
        ):
            yield (*key, "port"), ": the node would send its results to itself"
        if (
            isinstance(destination, StowDestination)
            and destination.tls is not None
            and destination.url.startswith("http:")
        ):
            yield (*key, "url"), ": there is tls, and the url begins with http"
        tls = destination.tls
        if tls is not None and tls.key is not None and tls.certificate is None:
            yield (*key, "tls", "key"), ": there is a key, and no certificate"


def pointless(config: NodeConfig) -> Iterator[Fault]:
    """Valid settings without effect: rules never reached, names that no rule uses, other modalities."""
    for number, rule in enumerate(config.rules):
        for earlier in config.rules[:number]:
            if _takes_all_of(earlier, rule):
                yield (
                    ("rules", number),
                    f": it is never reached, because {earlier.name!r} before it takes all that it would",
                )
                break
        yield from _impossible_modalities(number, rule)
    for number, destination in enumerate(config.destinations):
        if not any(destination.name in rule.to for rule in config.rules):
            yield ("destinations", number), f": no rule sends to {destination.name!r}"
    for number, model in enumerate(config.models):
        if not any(rule.model == model.name for rule in config.rules):
            yield ("models", number), f": no rule asks {model.name!r}"


def unheard(config: NodeConfig) -> Iterator[Fault]:
    """PACS that are sent to and may not ask back: their C-ECHO, by which people try a new entry, is refused."""
    known = {caller.ae_title for caller in config.callers}
    for number, destination in enumerate(config.destinations):
        if isinstance(destination, CStoreDestination) and destination.ae_title not in known:
            title = destination.ae_title
            said = (
                f": {title!r} is not among the callers, so that its C-ECHO is refused: add "
                f'[[callers]] with ae_title = "{title}" if it should be answered'
            )
            yield ("destinations", number, "ae_title"), said


def unusable_here(config: NodeConfig) -> Iterator[Fault]:
    """Settings that this machine cannot fulfil: addresses, a folder for the spool, certificates with keys."""
    for section, host in (("node", config.node.host), ("status", config.status.host)):
        problem = _why_not_ours(host)
        if problem:
            yield (section, "host"), f": {host!r} cannot be listened on: {problem}"
    spool = config.node.spool
    nearest = next(folder for folder in (spool, *spool.parents) if folder.exists())
    if not nearest.is_dir():
        yield ("node", "spool"), f": expected a folder, found that {nearest} is none"
    elif not os.access(nearest, os.W_OK | os.X_OK):
        yield ("node", "spool"), f": {nearest} cannot be written by this user"
    if config.node.tls is not None:
        yield from _tls_faults(("node", "tls"), config.node.tls)
    for number, destination in enumerate(config.destinations):
        if destination.tls is not None:
            yield from _tls_faults(("destinations", number, "tls"), destination.tls)


def _tls_faults(key: Key, tls: ServerTls | ClientTls) -> Iterator[Fault]:
    if tls.ca is not None:
        try:
            ssl.create_default_context(cafile=tls.ca)
        except (OSError, ssl.SSLError):
            yield (*key, "ca"), f": expected certificates as PEM, found none in {tls.ca}"
            return
    try:
        if isinstance(tls, ServerTls):
            server_tls(tls)
        else:
            client_tls(tls)
    except (OSError, NodeError) as error:
        cause = error.__cause__ or error
        reason = getattr(cause, "reason", "") or getattr(cause, "strerror", "") or str(cause)
        what = (
            "the key is another certificate's"
            if reason == "KEY_VALUES_MISMATCH"
            else f"expected a certificate and its key as PEM, found none ({reason})"
        )
        yield (*key, "certificate"), f": {what}"
        return
    if tls.certificate is not None and (dates := out_of_date(tls.certificate, tls.key)):
        yield (*key, "certificate"), f": others refuse it: {dates}"


def _impossible_modalities(number: int, rule: Rule) -> Iterator[Fault]:
    possible = {*MODALITIES, *(CAPTURE_MODALITIES if rule.secondary_captures else ()), ""}
    for place, modality in enumerate(rule.modalities):
        code = modality.strip().upper()
        if code in possible:
            continue
        hint = " without secondary_captures" if code in CAPTURE_MODALITIES else ""
        known = ", ".join(MODALITIES)
        yield (
            ("rules", number, "modalities", place),
            f": no radiograph has {modality!r}{hint}: expected some of {known}",
        )


def _takes_all_of(earlier: Rule, later: Rule) -> bool:
    """Whether every radiograph that fits the later rule fits the earlier one."""
    pairs = (
        (earlier.callers, later.callers),
        (earlier.modalities, later.modalities),
        (earlier.body_parts, later.body_parts),
    )
    return all(
        not wide or (bool(narrow) and _codes(narrow) <= _codes(wide)) for wide, narrow in pairs
    )


def _codes(texts: Sequence[str]) -> set[str]:
    return {text.strip().upper() for text in texts}


def _overlap(first: str, second: str) -> bool:
    """Whether two listeners on these hosts would meet."""
    return (
        first == second
        or any(_is_any(host) for host in (first, second))
        or (_is_loopback(first) and _is_loopback(second) and "localhost" in (first, second))
    )


def _is_own(host: str, port: int, listening: Sequence[tuple[str, int]]) -> bool:
    """Whether that is one of the node's own listeners, as far as the file tells."""
    return any(
        port == own_port
        and (host == own or (_is_loopback(host) and (_is_any(own) or _is_loopback(own))))
        for own, own_port in listening
    )


def _is_any(host: str) -> bool:
    return host in ("0.0.0.0", "::")  # noqa: S104  # compared, and not listened on


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _why_not_ours(host: str) -> str:
    """The reason why this machine cannot listen on a host; empty when it can."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as listening:
            listening.bind(address)
    except socket.gaierror:
        return "its name is not known"
    except OSError as error:
        return (error.strerror or "").lower()
    return ""
