"""Signatures of bundles: Ed25519, by the library cryptography, with keys as OpenSSL writes them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from infmap_kit.errors import BundleError, MissingDependency
from infmap_kit.release.archive import Verify

KEY_VARIABLE = "INFMAP_KIT_PUBLIC_KEY"
"""Environment variable that names the public key whose bundles are installed."""

KEY_FILE = Path("/etc/infmap-kit/bundle-key.pem")
"""Path of the public key if neither an option nor the variable names one."""

_MADE_WITH = {
    "private": "openssl genpkey -algorithm ed25519 -out key.pem",
    "public": "openssl pkey -in key.pem -pubout -out key.pub.pem",
}


def configured_key(option: Path | None = None) -> Path | None:
    """The public key that bundles must be signed with; ``None`` where none is configured."""
    if option is not None:
        return option
    if named := os.environ.get(KEY_VARIABLE):
        return Path(named)
    return KEY_FILE if KEY_FILE.exists() else None


def signer(key: Path) -> Callable[[bytes], bytes]:
    """A function that signs with a private key (PEM, PKCS 8, without passphrase).

    Raises
    ------
    BundleError
        When it is no such key.
    """
    loaded = _load(key, "private")
    return lambda digest: bytes(loaded.sign(digest))


def verifier(key: Path) -> Verify:
    """A function that refuses a digest that was not signed with the private half of a public key (PEM).

    Raises
    ------
    BundleError
        When it is no such key; and, from what is returned, when a signature is missing or another's.
    """
    loaded = _load(key, "public")

    def verify(digest: bytes, signature: bytes | None) -> None:
        from cryptography.exceptions import InvalidSignature

        if signature is None:
            raise BundleError(
                f"the bundle is not signed, and this host takes only what {key} vouches for: "
                "have it signed with `infmap-kit bundle --sign`, or take it all the same with --unsigned"
            )
        try:
            loaded.verify(signature, digest)
        except InvalidSignature as error:
            raise BundleError(
                f"the bundle's signature is not by the key {key}: it was altered, or signed by somebody else"
            ) from error

    return verify


def fingerprint(key: Path) -> str:
    """Sixteen hexadecimal digits by which people compare public keys."""
    return hashlib.sha256(_load(key, "public").public_bytes_raw()).hexdigest()[:16]


def _load(path: Path, kind: Literal["private", "public"]) -> Any:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        raise MissingDependency(
            "signatures need the package cryptography, which is not installed: pip install 'infmap-kit[sign]'"
        ) from error
    try:
        load = getattr(serialization, f"load_pem_{kind}_key")
        key = load(path.read_bytes(), **({"password": None} if kind == "private" else {}))
    except OSError as error:
        raise BundleError(f"cannot read the key {path}: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        expected = "public key" if kind == "public" else "private key without passphrase"
        raise BundleError(f"expected a {expected} in PEM in {path}: {error}") from error
    actual = type(key).__name__.lstrip("_")
    if actual != f"Ed25519{kind.title()}Key":
        raise BundleError(
            f"expected a {kind} Ed25519 key in {path}, found {actual}: make one with `{_MADE_WITH[kind]}`"
        )
    return key
