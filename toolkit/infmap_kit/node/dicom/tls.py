"""TLS with callers and destinations, and its faults in the words of the TLS library."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

from infmap_kit.errors import NodeError
from infmap_kit.node.config import ClientTls, ServerTls


def server_tls(options: ServerTls) -> ssl.SSLContext:
    """The TLS context for callers, with the certificates that they must show; TLS 1.2 and later.

    Raises
    ------
    NodeError
        When a file is no certificate or key.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(options.certificate, options.key, password=_no_passphrase)
        if options.ca is not None:
            context.load_verify_locations(options.ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (ssl.SSLError, OSError) as error:
        raise NodeError(
            f"node.tls: the certificate, key or ca cannot be used: {reason_of(error)}"
        ) from error
    return context


def client_tls(options: ClientTls) -> ssl.SSLContext:
    """The TLS context for a destination.

    Raises
    ------
    OSError
        When a file is no certificate or key.
    """
    context = ssl.create_default_context(cafile=options.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if options.certificate is not None:
        context.load_cert_chain(options.certificate, options.key, password=_no_passphrase)
    return context


def _no_passphrase() -> str:
    """Asked for where a key has one; the TLS library itself would wait for somebody to type it.

    Raises
    ------
    OSError
        Always.
    """
    raise OSError(None, "the key has a passphrase, which nobody can type for a service")


def out_of_date(certificate: Path, key: Path | None) -> str:
    """The TLS library's words for why others refuse a certificate today; empty where its dates are good.

    Parameters
    ----------
    certificate, key
        PEM files that can be used.
    """
    try:
        _shown_to_itself(certificate, key)
    except ssl.SSLCertVerificationError as error:
        return error.verify_message if error.verify_code in _DATES else ""
    return ""


def expires_at_s(certificate: Path, key: Path | None) -> float:
    """The time when a certificate whose dates are good ends, in seconds since 1970.

    Parameters
    ----------
    certificate, key
        As for :func:`out_of_date`.

    Raises
    ------
    OSError
        When it cannot be verified at all.
    """
    return float(ssl.cert_time_to_seconds(_shown_to_itself(certificate, key)["notAfter"]))


def _shown_to_itself(certificate: Path, key: Path | None) -> dict[str, Any]:
    """A certificate as a caller sees it, whatever authority has signed it."""
    ours, theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    ours.load_cert_chain(certificate, key, password=_no_passphrase)
    theirs.check_hostname = False
    theirs.load_verify_locations(certificate)
    # Of all that may be wrong with it, nothing but itself is looked at.
    theirs.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller, node = theirs.wrap_bio(back, there), ours.wrap_bio(there, back, server_side=True)
    for side in (caller, node, caller):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return dict(caller.getpeercert() or {})


def tls_reason(error: ssl.SSLError) -> str:
    """The reason of the TLS library: ``certificate verify failed: certificate has expired``."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) or not error.reason:
        return _WITHOUT_REASON
    return str(error.reason).lower().replace("_", " ")


def reason_of(error: BaseException) -> str:
    """The innermost reason of a failed connection: TLS, the name, the network; else the error's type.

    Libraries of HTTP wrap it several times.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            reason = tls_reason(cause)
            hint = ": does it speak TLS there?" if cause.reason in _NO_TLS else ""
            return f"TLS: {reason}{hint}"
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return "its name is not known to the name server"
        if isinstance(cause, TimeoutError):
            return "it does not answer in time"
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror[0].lower() + cause.strerror[1:]
    return type(error).__name__


def is_told(error: BaseException) -> bool:
    """Whether a failed connection says why: the TLS library does, or it took too long."""
    causes = _causes(error)
    return any(
        isinstance(cause, TimeoutError | socket.gaierror | ConnectionRefusedError)
        or (isinstance(cause, ssl.SSLError) and tls_reason(cause) != _WITHOUT_REASON)
        for cause in causes
    )


_WITHOUT_REASON = "the other side ended the connection without a reason"
# X509_V_ERR_CERT_NOT_YET_VALID and X509_V_ERR_CERT_HAS_EXPIRED.
_DATES = (9, 10)
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")


def _causes(error: BaseException) -> list[BaseException]:
    """An error and all that it was made of, the outermost first."""
    found: list[BaseException] = []
    open_: list[object] = [error]
    while open_:
        one = open_.pop(0)
        if not isinstance(one, BaseException) or one in found:
            continue
        found.append(one)
        open_ += [getattr(one, "reason", None), one.__cause__, one.__context__, *one.args]
    return found
