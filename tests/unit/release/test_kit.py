"""What an offline kit is not made of, and what its installer refuses before anything else of it is used."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from infmap_kit.errors import BundleError, InfmapError
from infmap_kit.release import kit
from infmap_kit.release.archive import write_archive
from infmap_kit.release.kit import KitOptions, build_kit, html_pages, require_locked
from infmap_kit.release.signature import signer

INSTALL = Path(kit.__file__).with_name("templates") / "install"


def _key(folder: Path, name: str) -> Path:
    """A private key made by OpenSSL; its public half lies beside as ``.pub``."""
    key = folder / name
    public = key.with_suffix(".pub")
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    return key


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("keys")
    return _key(folder, "ours"), _key(folder, "other")


def test_a_bundle_that_the_host_would_refuse_is_refused_here(
    tmp_path: Path, keys: tuple[Path, Path]
) -> None:
    ours, other = map(signer, keys)
    bundle = tmp_path / "unet.bundle"
    options = KitOptions(bundle=bundle, dist=tmp_path, docs=tmp_path, lock=tmp_path / "lock")
    for sign in (None, other):
        write_archive(bundle, {"spec.json": b"{}"}, sign=sign)
        with pytest.raises(BundleError, match="not signed by the key that signs the kit"):
            build_kit(tmp_path / "kit.tar", options, sign=ours)
    write_archive(bundle, {"spec.json": b"{}"}, sign=ours)
    with pytest.raises(InfmapError, match="make sbom"):
        build_kit(tmp_path / "kit.tar", options, sign=ours)
    assert not (tmp_path / "kit.tar").exists()


def test_a_wheel_of_another_hash_than_the_lock_states_is_refused(tmp_path: Path) -> None:
    for name in ("a-1-py3-none-any.whl", "infmap_kit-0-py3-none-any.whl"):
        (tmp_path / name).write_text(name)
    digest = hashlib.sha256(b"a-1-py3-none-any.whl").hexdigest()
    lock = f"a==1 \\\n    --hash=sha256:{digest}\n"
    require_locked(tmp_path, lock, besides={"infmap_kit-0-py3-none-any.whl"})
    (tmp_path / "a-1-py3-none-any.whl").write_text("altered")
    with pytest.raises(InfmapError, match=r"a-1-py3-none-any\.whl has a SHA-256"):
        require_locked(tmp_path, lock, besides={"infmap_kit-0-py3-none-any.whl"})


def test_the_pages_are_made_html_where_that_is_possible(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="needs infmap-kit[docs]")
    docs, settings = tmp_path / "docs", tmp_path / "mkdocs.yml"
    docs.mkdir()
    (docs / "index.md").write_text("# Install\n\nA [page](node.md).\n")
    assert html_pages(docs, tmp_path / "none") == {}, "without settings there is no site"
    settings.write_text("site_name: kit\nplugins: []\ntheme: {name: null, custom_dir: theme}\n")
    (tmp_path / "theme").mkdir()
    (tmp_path / "theme" / "main.html").write_text("{{ page.content }}")
    with pytest.raises(InfmapError, match=r"cannot be made HTML: .*node\.md"):
        html_pages(docs, tmp_path / "torn")
    (docs / "node.md").write_text("# Node\n")
    pages = html_pages(docs, tmp_path / "site")
    assert {"index.html", "node/index.html"} <= pages.keys()
    assert "Install</h1>" in pages["index.html"].read_text()


def test_the_image_is_of_the_kit_s_files_and_runs_without_rights() -> None:
    text = INSTALL.with_name("Containerfile").read_text().replace("\\\n", " ")
    steps = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    copied = {step[1] for step in steps if step[0] == "COPY" and not step[1].startswith("--from")}
    assert copied == {"requirements.txt", "wheels", "server"}, (
        "what build_kit packs under these names"
    )
    last = max(place for place, step in enumerate(steps) if step[0] == "FROM")
    (user,) = (step[1] for step in steps[last:] if step[0] == "USER")
    assert user.partition(":")[0] not in ("0", "root")
    assert "--require-hashes" in text
    assert "--no-index" in text


@pytest.fixture
def unpacked(tmp_path: Path, keys: tuple[Path, Path]) -> Path:
    """A kit for a Python that nobody has: an installer that trusts it ends there."""
    folder = tmp_path / "infmap-kit"
    (folder / "wheels").mkdir(parents=True)
    shutil.copy(INSTALL, folder / "install")
    (folder / "kit.env").write_text("KIT_VERSION=9\nKIT_PYTHON=9.9\nKIT_MACHINE=x86_64\n")
    (folder / "wheels" / "a.whl").write_text("a")
    return _sealed(folder, keys[0])


def _sealed(folder: Path, key: Path) -> Path:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "SUMS" not in path.name)
    sums = "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder)}\n"
        for path in files
    )
    (folder / "SHA256SUMS").write_text(sums)
    (folder / "SHA256SUMS.ed25519").write_bytes(signer(key)(sums.encode()))
    return folder


def _install(folder: Path, *words: object) -> str:
    done = subprocess.run(
        ["sh", folder / "install", *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()[-1:]
    return line.removeprefix("install: ")


def _altered(folder: Path) -> None:
    (folder / "wheels" / "a.whl").write_text("b")


def _more(folder: Path) -> None:
    (folder / "wheels" / "b.whl").write_text("b")


def _link(folder: Path) -> None:
    (folder / "wheels" / "b.whl").symlink_to("/etc/passwd")


def _altered_with_its_sum(folder: Path) -> None:
    _altered(folder)
    sums = (folder / "SHA256SUMS").read_text()
    before, after = (hashlib.sha256(text).hexdigest() for text in (b"a", b"b"))
    (folder / "SHA256SUMS").write_text(sums.replace(before, after))


def _without_signature(folder: Path) -> None:
    (folder / "SHA256SUMS.ed25519").unlink()


def _untouched(_: Path) -> None: ...


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, as the installer does")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_untouched, "expected Python 9.9, found "),
        (_altered, "the kit is damaged or was altered"),
        (_more, "the kit holds a file that is not in SHA256SUMS"),
        (_link, "the kit holds something else than files"),
        (_altered_with_its_sum, "the signature is not by "),
        (_without_signature, "this kit is not signed"),
    ],
)
def test_the_installer_checks_signature_and_hashes_first(
    unpacked: Path, keys: tuple[Path, Path], change: Callable[[Path], None], reason: str
) -> None:
    change(unpacked)
    prefix = unpacked.parent / "opt"
    told = _install(unpacked, "--public-key", keys[0].with_suffix(".pub"), "--prefix", prefix)
    assert told.startswith(reason)
    assert not prefix.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, as the installer does")
def test_the_installer_takes_nobody_s_word(unpacked: Path, keys: tuple[Path, Path]) -> None:
    assert _install(unpacked).startswith("nobody vouches for this kit")
    assert _install(unpacked, "--unsigned").startswith("expected Python 9.9")
    other = keys[1].with_suffix(".pub")
    assert _install(unpacked, "--public-key", other).startswith("the signature is not by ")
