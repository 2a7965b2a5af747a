"""Signatures of bundles: Ed25519, by the library cryptography, with keys as OpenSSL writes them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from infmap_kit.errors import BundleError, MissingDependency

KEY_VARIABLE = "INFMAP_KIT_PUBLIC_KEY"
"""Environment variable that names the public key of whoever's bundles are installed."""

KEY_FILE = Path("/etc/infmap-kit/bundle-key.pem")
"""Where that key lies when neither an option nor the variable names it."""


def configured_key(option: Path | None = None) -> Path | None:
    """The public key that bundles must be signed with; ``None`` where none is configured."""
    if option is not None:
        return option
    if named := os.environ.get(KEY_VARIABLE):
        return Path(named)
    return KEY_FILE if KEY_FILE.exists() else None


def signer(key: Path) -> Callable[[bytes], bytes]:
    """What signs with a private key (PEM, PKCS 8, without passphrase).

    Raises
    ------
    BundleError
        When it is no such key.
    """
    loaded = _load(key, "load_pem_private_key", password=None)
    if not hasattr(loaded, "sign") or _kind(loaded) != "Ed25519PrivateKey":
        raise BundleError(
            f"expected a private Ed25519 key in {key}, found {_kind(loaded)}: make one with "
            "`openssl genpkey -algorithm ed25519 -out key.pem`"
        )
    return lambda digest: bytes(loaded.sign(digest))


def verifier(key: Path) -> Callable[[bytes, bytes | None], None]:
    """What refuses a digest that was not signed with the private half of a public key (PEM).

    Raises
    ------
    BundleError
        When it is no such key; and, from what is returned, when a signature is missing or another's.
    """
    loaded = _load(key, "load_pem_public_key")
    if _kind(loaded) != "Ed25519PublicKey":
        raise BundleError(
            f"expected a public Ed25519 key in {key}, found {_kind(loaded)}: make one with "
            "`openssl pkey -in key.pem -pubout -out key.pub.pem`"
        )

    def verify(digest: bytes, signature: bytes | None) -> None:
        from cryptography.exceptions import InvalidSignature

        if signature is None:
            raise BundleError(
                f"the bundle is not signed, and this box takes only what {key} vouches for: "
                "have it signed with `infmap-kit bundle --sign`"
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
    loaded = _load(key, "load_pem_public_key")
    return hashlib.sha256(loaded.public_bytes_raw()).hexdigest()[:16]


def _load(path: Path, how: str, **options: Any) -> Any:
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
    except ImportError as error:
        raise MissingDependency(
            "signatures need the package cryptography, which is not installed: pip install 'infmap-kit[sign]'"
        ) from error
    try:
        return getattr(serialization, how)(path.read_bytes(), **options)
    except OSError as error:
        raise BundleError(f"cannot read the key {path}: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        wanted = "private key without passphrase" if "private" in how else "public key"
        raise BundleError(f"expected a {wanted} in PEM in {path}: {error}") from error


def _kind(key: object) -> str:
    return type(key).__name__.lstrip("_")
