#!/usr/bin/env python3
"""On the machine with the GPU: join the parts, check them, install, and run the steps. Needs Python alone.

    python3 run.py [--store FOLDER] [--results FOLDER] [--minutes 9]

Parts that come one after the other are kept in the store until all are there; a call says which are missing.
Each call ends within the minutes that it is given, and the next one goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
READY = "ready"


def main() -> int:
    """0 when all is proved or parts are still awaited, else the steps' own exit code, or 1 with the reason."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    default = Path(tempfile.gettempdir()) / "infmap-kit-gpu"
    parser.add_argument("--store", type=Path, default=default)
    parser.add_argument("--results", type=Path, default=Path("gpu-results"))
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--samples", default="100")
    given = parser.parse_args()
    begun = time.monotonic()
    contents = json.loads((HERE / "parts.json").read_text(encoding="utf-8"))
    # Of each pack its own folder, so that parts of two are never mixed.
    store = given.store / contents["sha256"][:12]
    store.mkdir(parents=True, exist_ok=True)
    if not (store / READY).is_file():
        missing = [
            name for name, digest in contents["parts"].items() if not _kept(store, name, digest)
        ]
        if missing:
            print(
                f"{len(missing)} of {len(contents['parts'])} parts are missing: {', '.join(missing)}"
            )
            return 0
        _unpack(store, contents)
        _install(store)
        (store / READY).touch()
    python, payload = store / "venv" / "bin" / "python", store / "payload"
    code = payload / "code"
    left = given.minutes - (time.monotonic() - begun) / 60
    command = [python, code / "gpu" / "prove.py", payload, given.results.absolute()]
    command += ["--minutes", f"{left:.2f}", "--samples", given.samples]
    paths = os.pathsep.join(str(code / name) for name in ("toolkit", "training"))
    environment = {
        **os.environ,
        "PYTHONPATH": paths,
        "PATH": f"{python.parent}:{os.environ['PATH']}",
    }
    words = list(map(str, command))
    return subprocess.run(words, check=False, env=environment).returncode  # noqa: S603  # packed with us


def _kept(store: Path, name: str, digest: str) -> bool:
    """Whether a part is in the store, which takes it from beside this file; a damaged one is refused."""
    place = store / name
    if not place.is_file() and (HERE / name).is_file():
        shutil.copyfile(HERE / name, place.with_suffix(".copying"))
        place.with_suffix(".copying").rename(place)
    if not place.is_file():
        return False
    if _sha256(place) != digest:
        place.unlink()
        sys.exit(f"{name} is damaged: bring it again")
    return True


def _unpack(store: Path, contents: dict[str, object]) -> None:
    whole = store / "payload.tar.xz"
    with whole.open("wb") as joined:
        for name in contents["parts"]:  # type: ignore[attr-defined]
            with (store / name).open("rb") as part:
                shutil.copyfileobj(part, joined)
    if _sha256(whole) != contents["sha256"]:
        sys.exit("the joined parts are not what was packed: pack them again")
    shutil.rmtree(store / "payload", ignore_errors=True)
    with tarfile.open(whole, "r:xz") as archive:
        archive.extractall(store / "payload", filter="data")
    whole.unlink()


def _install(store: Path) -> None:
    """Make an environment of the packed wheels; what this Python has, such as PyTorch, is found behind them."""
    environment = store / "venv"
    has_pip = importlib.util.find_spec("pip") is not None
    venv.create(environment, with_pip=not has_pip, clear=True)
    python = environment / "bin" / "python"
    if wheels := sorted(map(str, (store / "payload" / "wheels").glob("*.whl"))):
        # Without dependencies: what is needed was packed, and what is not is here already.
        options = [
            "--no-index",
            "--no-deps",
            "--no-compile",
            "--quiet",
            "--disable-pip-version-check",
        ]
        outer = [sys.executable, "-m", "pip", "--python", str(python)]
        pip = outer if has_pip else [str(python), "-m", "pip"]
        subprocess.run([*pip, "install", *options, *wheels], check=True)  # noqa: S603  # packed with us
    inside = subprocess.run(  # noqa: S603  # the environment's own Python
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    )
    outside = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
    (Path(inside.stdout.strip()) / "host.pth").write_text("\n".join(sorted(outside)) + "\n")


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
