"""Certificates, good and bad, for both sides of TLS."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

import pytest


@dataclasses.dataclass(frozen=True)
class Certificates:
    """A folder with an authority, certificates of it for 127.0.0.1, and others that should not do.

    ``NAME.pem`` holds a key and its certificate; ``ca.pem`` is the authority. ``node`` and ``modality`` are
    good, ``expired`` is of last year, ``stranger`` has signed itself, ``elsewhere`` is another host's.
    """

    folder: Path

    def __getitem__(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def toml(self, name: str, authority: str = "ca") -> str:
        """An inline table for ``tls =``."""
        keys = {"ca": self[authority], "certificate": self[name], "key": self[name]}
        return "{ " + ", ".join(f'{key} = "{path}"' for key, path in keys.items()) + " }"


def make_certificates(folder: Path) -> Certificates:
    """Make them with openssl; skips without it."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl: apt-get install openssl")
    folder.mkdir(parents=True, exist_ok=True)

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)

    (folder / "ca.cnf").write_text(
        "[ca]\ndefault_ca=here\n[here]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\n"
        "default_md=sha256\npolicy=any\nunique_subject=no\n[any]\ncommonName=supplied\n"
    )
    (folder / "index.txt").write_text("")
    (folder / "serial").write_text("01\n")
    for name in ("ca", "stranger"):
        openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{name}.key", "-out", f"{name}.crt",
        )  # fmt: skip
    for name in ("node", "modality", "expired", "elsewhere"):
        host = "DNS:other.example" if name == "elsewhere" else "IP:127.0.0.1"
        (folder / "ext.cnf").write_text(f"subjectAltName={host}\n")
        openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", "csr",
        )  # fmt: skip
        dates = (
            ["-startdate", "20250101000000Z", "-enddate", "20250201000000Z"]
            if name == "expired"
            else ["-days", "2"]
        )
        openssl(
            "ca", "-batch", "-notext", "-config", "ca.cnf", "-cert", "ca.crt", "-keyfile", "ca.key",
            "-in", "csr", "-out", f"{name}.crt", "-extfile", "ext.cnf", *dates,
        )  # fmt: skip
    for name in ("ca", "stranger", "node", "modality", "expired", "elsewhere"):
        both = (folder / f"{name}.key").read_text() + (folder / f"{name}.crt").read_text()
        (folder / f"{name}.pem").write_text(both)
    return Certificates(folder)
