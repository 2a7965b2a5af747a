"""Models and destinations of a node's file: their names, ports, TLS, AE titles, and what they take."""

from __future__ import annotations

import contextlib
import datetime as dt
import email.utils
import ipaddress
import socket
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from infmap_kit.errors import InfmapError, MissingDependency
from infmap_kit.node.check.lines import Key
from infmap_kit.node.check.look import CheckState, Look
from infmap_kit.node.config import (
    CStoreDestination,
    Destination,
    NodeConfig,
    StowDestination,
)
from infmap_kit.node.dicom.destinations import web_session
from infmap_kit.node.dicom.reaching import associated
from infmap_kit.node.dicom.response import AssociationRejected, DestinationUnavailable
from infmap_kit.node.dicom.tls import reason_of
from infmap_kit.node.reasons import model_trouble

_PATIENCE_S = 10.0
_CLOCKS_APART_S = 300
_CLASS_OF = {
    "sc": "SecondaryCaptureImageStorage",
    "seg": "SegmentationStorage",
    "sr": "ComprehensiveSRStorage",
    "gsps": "GrayscaleSoftcopyPresentationStateStorage",
}


def look_at_models(config: NodeConfig) -> Iterator[Look]:
    """Ask each model's server what it serves."""
    from infmap_kit.triton.client import InfmapClient

    for number, model in enumerate(config.models):
        key, what = ("models", number, "url"), f"model {model.name} at {model.url}"
        try:
            with InfmapClient(model.url, timeout_s=_PATIENCE_S) as client:
                served = client.model()
        except MissingDependency:
            raise
        except InfmapError as error:
            yield Look(
                key=key, what=what, verdict=CheckState.FAULT, found=model_trouble(error),
                fix="start it (systemctl status infmap-serve), or enter its gRPC address, as in 127.0.0.1:8001",
            )  # fmt: skip
        else:
            yield Look(
                key=key, what=what, found=f"{served.name}, which looks for {served.finding.name}"
            )


def look_at_destinations(config: NodeConfig) -> Iterator[Look]:
    """Ask each destination, by what it is going to be sent, and nothing is sent."""
    for number, destination in enumerate(config.destinations):
        patient = destination.model_copy(
            update={"timeout_s": min(destination.timeout_s, _PATIENCE_S)}
        )
        key: Key = ("destinations", number)
        unknown = _unknown_host(patient, key)
        if unknown is not None:
            yield unknown
        elif isinstance(patient, CStoreDestination):
            yield from _look_at_pacs(config, patient, key)
        else:
            yield from _look_at_web(patient, key)


def _unknown_host(destination: Destination, key: Key) -> Look | None:
    if isinstance(destination, StowDestination):
        name, host = "url", urlsplit(destination.url).hostname
    else:
        name, host = "host", destination.host
    with contextlib.suppress(OSError):
        socket.getaddrinfo(host, None)
        return None
    return Look(
        key=(*key, name),
        what=f"host {host}",
        verdict=CheckState.FAULT,
        found="its name is not known to the name server",
        fix="enter its address, or add the name to /etc/hosts",
    )


def _look_at_pacs(config: NodeConfig, pacs: CStoreDestination, key: Key) -> Iterator[Look]:
    what = f"C-ECHO to {pacs.name}"
    title = config.node.ae_title
    wanted = sorted(
        {kind for rule in config.rules if pacs.name in rule.to for kind in rule.outputs}
    )
    if any(rule.rejects == "report" for rule in config.rules if pacs.name in rule.to):
        wanted = sorted({*wanted, "sr"})
    try:
        with associated(pacs, _contexts(wanted), ae_title=title) as association:
            if not association.is_established:
                yield Look(
                    key=key, what=what, verdict=CheckState.FAULT,
                    found="it takes neither C-ECHO nor any result",
                    fix="let the PACS take Verification and Storage from this node",
                )  # fmt: skip
                return
            accepted = {context.abstract_syntax for context in association.accepted_contexts}
            answer = association.send_c_echo() if _uid("Verification") in accepted else None
    except AssociationRejected as error:
        yield _rejected(error, config, pacs, key)
        return
    except DestinationUnavailable as error:
        place, fix = (
            (*key, "port"),
            "is that its DICOM port, and does a firewall let this machine through?",
        )
        if "TLS" in str(error) or "certificate" in str(error):
            place, fix = (
                (*key, "tls"),
                "ca must be the authority of the PACS's certificate, and the node's its own",
            )
        yield Look(
            key=place, what=what, verdict=CheckState.FAULT,
            found=f"{str(error).removeprefix('it ')} at {pacs.host}:{pacs.port}", fix=fix,
        )  # fmt: skip
        return
    if answer is not None and answer.get("Status") == 0:
        yield Look(key=key, what=what, found="answered")
    else:
        yield Look(
            key=key,
            what=what,
            verdict=CheckState.NOTE,
            found="it lets the node in, and answers no C-ECHO",
        )
    for kind in wanted:
        if _uid(_CLASS_OF[kind]) not in accepted:
            yield Look(
                key=key, what=f"{pacs.name} takes {kind}", verdict=CheckState.FAULT,
                found="no: each would become a dead letter",
                fix=f"allow this SOP class there, or leave {kind!r} out of outputs in rules that send to it",
            )  # fmt: skip
    yield from _heard(config, pacs, key)


def _heard(config: NodeConfig, pacs: CStoreDestination, key: Key) -> Iterator[Look]:
    """Check whether the address of the PACS is among those that its entry among the callers names."""
    networks = [one.address for one in config.callers if one.ae_title == pacs.ae_title]
    if not networks or None in networks:
        return
    found = sorted({str(info[4][0]) for info in socket.getaddrinfo(pacs.host, None)})
    if not any(
        ipaddress.ip_address(one) in network for one in found for network in networks if network
    ):
        yield Look(
            key=(*key, "ae_title"), what=f"C-ECHO from {pacs.name}", verdict=CheckState.NOTE,
            found=f"its address ({', '.join(found)}) is not that of its entry among the callers",
            fix=f'let address of [[callers]] "{pacs.ae_title}" hold it',
        )  # fmt: skip


def _rejected(
    error: AssociationRejected, config: NodeConfig, pacs: CStoreDestination, key: Key
) -> Look:
    place, fix = key, "ask who runs the PACS for its reason"
    if error.why == AssociationRejected.CALLING:
        place = ("node", "ae_title")
        fix = f"enter {config.node.ae_title}, with this machine's address, in the PACS"
    elif error.why == AssociationRejected.CALLED:
        place, fix = (
            (*key, "ae_title"),
            f"the PACS is not called {pacs.ae_title}: ask for its AE title",
        )
    return Look(
        key=place,
        what=f"C-ECHO to {pacs.name}",
        verdict=CheckState.FAULT,
        found=str(error),
        fix=fix,
    )


def _look_at_web(web: StowDestination, key: Key) -> Iterator[Look]:
    import requests

    what = f"QIDO-RS to {web.name}"
    try:
        with web_session(web) as (session, _):
            answer = session.get(
                f"{web.url.rstrip('/')}/studies",
                params={"limit": "1"},
                headers={"Accept": "application/dicom+json"},
                timeout=web.timeout_s,
                stream=True,
            )
    except (requests.RequestException, DestinationUnavailable, OSError) as error:
        found = str(error) if isinstance(error, DestinationUnavailable) else reason_of(error)
        is_tls = "TLS" in found or "certificate" in found
        yield Look(
            key=(*key, "tls" if is_tls else "url"), what=what, verdict=CheckState.FAULT, found=found,
            fix="ca must be the authority of its certificate" if is_tls
            else "is that its address and port, and does a firewall let this machine through?",
        )  # fmt: skip
        return
    yield _judged(answer, web, key, what)
    apart_s = _apart_s(answer.headers.get("Date"))
    if abs(apart_s) > _CLOCKS_APART_S:
        yield Look(
            key=key, what="clock", verdict=CheckState.NOTE,
            found=f"this machine's and that of {web.name} are {abs(apart_s):.0f} s apart",
            fix="let both follow a time server",
        )  # fmt: skip


def _judged(answer: Any, web: StowDestination, key: Key, what: str) -> Look:
    code, found = answer.status_code, f"HTTP {answer.status_code}"
    if answer.is_redirect:
        fix = "enter the final address: redirects are not followed"
        return Look(
            key=(*key, "url"),
            what=what,
            verdict=CheckState.FAULT,
            found=f"{found}, a redirect",
            fix=fix,
        )
    if code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        secret = "token_file" if web.token_file else "user"
        fix = "token_file, or user and password_file, as this server wants them"
        return Look(key=(*key, secret), what=what, verdict=CheckState.FAULT, found=found, fix=fix)
    if code == HTTPStatus.NOT_FOUND:
        fix = "the url must be the root of DICOMweb, of which STOW-RS is POST .../studies"
        return Look(key=(*key, "url"), what=what, verdict=CheckState.FAULT, found=found, fix=fix)
    if code in (HTTPStatus.OK, HTTPStatus.NO_CONTENT):
        return Look(key=key, what=what, found="answered")
    return Look(
        key=key,
        what=what,
        verdict=CheckState.UNTRIED,
        found=f"{found}: it may take results all the same",
    )


def _apart_s(date: str | None) -> float:
    """Seconds between this machine's clock and that of an answer; 0 where it has none."""
    with contextlib.suppress(TypeError, ValueError):
        there = email.utils.parsedate_to_datetime(date or "")
        return (dt.datetime.now(dt.UTC) - there).total_seconds()
    return 0.0


def _contexts(kinds: Sequence[str]) -> list[Any]:
    from pynetdicom.presentation import build_context

    names = ["Verification", *(_CLASS_OF[kind] for kind in kinds)]
    return [build_context(_uid(name)) for name in names]


def _uid(keyword: str) -> str:
    import pynetdicom.sop_class

    return str(getattr(pynetdicom.sop_class, keyword))
