"""Write a release's version and date into the files that state them.

.venv/bin/python scripts/release.py VERSION
"""

from __future__ import annotations

import datetime as dt
import re
import sys
from pathlib import Path

from infmap_kit.errors import InfmapError

ROOT = Path(__file__).resolve().parents[1]
_UNRELEASED = "## [Unreleased]\n"


def release(root: Path, version: str, day: dt.date) -> None:
    """State a version in the package, the citation and the changelog of a checkout.

    Raises
    ------
    InfmapError
        When the version is not above the present one, or nothing was changed since. No file is touched.
    """
    package = root / "toolkit" / "infmap_kit" / "__init__.py"
    citation, changelog = root / "CITATION.cff", root / "CHANGELOG.md"
    texts = {path: path.read_text(encoding="utf-8") for path in (package, citation, changelog)}
    present = re.findall(r'^__version__ = "(.+)"$', texts[package], re.MULTILINE)[0]
    # The first release may have the version that the code already states.
    is_first = "\n## [" not in texts[changelog].partition(_UNRELEASED)[2]
    if _numbers(version) < _numbers(present) or (version == present and not is_first):
        raise InfmapError(f"expected a version above {present}, found {version}")
    news = re.split(r"^## \[", texts[changelog].partition(_UNRELEASED)[2], flags=re.MULTILINE)[0]
    if not news.strip():
        raise InfmapError("expected news under Unreleased in CHANGELOG.md, found none")
    heading = f"{_UNRELEASED}\n## [{version}] - {day}\n"
    package.write_text(
        texts[package].replace(f'__version__ = "{present}"', f'__version__ = "{version}"'),
        encoding="utf-8",
    )
    citation.write_text(
        re.sub(r"^version: .*$", f"version: {version}", texts[citation], flags=re.MULTILINE),
        encoding="utf-8",
    )
    changelog.write_text(texts[changelog].replace(_UNRELEASED, heading, 1), encoding="utf-8")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


if __name__ == "__main__":
    try:
        release(ROOT, sys.argv[1], dt.datetime.now(dt.UTC).date())
    except InfmapError as error:
        sys.exit(f"release: {error}")
