"""The demo model: of the clone, or of the companion wheel ``infmap-kit-demo``."""

from __future__ import annotations

import base64
import importlib.metadata
from pathlib import Path

import infmap_kit
from infmap_kit.errors import InfmapError, MissingDependency
from infmap_kit.model.files import sha256_of
from infmap_kit.model.run_folder import SPEC

COMPANION = "infmap-kit-demo"

_FOLDER = ("infmap_kit_demo", "model")


def find_model() -> Path:
    """The demo model's run folder; in a clone that of the clone.

    The companion wheel must be of this very version, and its files are held against the hashes that its RECORD
    states (PEP 376, PEP 427).

    Raises
    ------
    MissingDependency
        When there is none, with the wheel to install.
    InfmapError
        When the wheel is of another version, or a file of it is not what was installed.
    """
    clone = Path(infmap_kit.__file__).parents[2] / "training" / "demo_model"
    if (clone / SPEC).is_file():
        return clone
    try:
        wheel = importlib.metadata.distribution(COMPANION)
    except importlib.metadata.PackageNotFoundError:
        raise MissingDependency(
            f"the demo model is missing, which has a wheel of its own: pip install {COMPANION}"
        ) from None
    if wheel.version != infmap_kit.__version__:
        raise InfmapError(
            f"expected {COMPANION} {infmap_kit.__version__}, the version of infmap-kit, found {wheel.version}: "
            f"pip install {COMPANION}=={infmap_kit.__version__}"
        )
    for file in wheel.files or ():
        if file.parts[:2] != _FOLDER or "__pycache__" in file.parts:
            continue
        path = Path(str(file.locate()))
        if file.hash is None or not path.is_file() or _recorded(path) != file.hash.value:
            raise InfmapError(
                f"{path} is not what was installed (SHA-256 differs): pip install --force-reinstall "
                f"--no-deps {COMPANION}"
            )
    return Path(str(wheel.locate_file("/".join(_FOLDER))))


def _recorded(path: Path) -> str:
    """A file's SHA-256 as a RECORD states it."""
    return base64.urlsafe_b64encode(bytes.fromhex(sha256_of(path))).rstrip(b"=").decode()
