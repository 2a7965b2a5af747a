#!/usr/bin/env python
"""Hold the pinned versions against the committed advisories, without a network.

``requirements/advisories.json`` is a small snapshot for packages that read what comes from outside, taken by
hand; it cannot know what was published later. Where a service for it can be reached, ask that too:
``uvx pip-audit --disable-pip --require-hashes --requirement requirements/everything.txt``.

Example: ``.venv/bin/python scripts/audit.py``
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements"


def pinned(path: Path) -> dict[str, str]:
    """Package to version, of a file that `make lock` wrote."""
    lines = (line.rstrip("\\ \n") for line in path.open(encoding="utf-8"))
    found = (Requirement(line) for line in lines if line[:1].isalnum())
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in found}


def findings(versions: dict[str, str], snapshot: dict[str, Any]) -> list[str]:
    """A line for each pinned version that an advisory speaks of, and that was not accepted with a reason."""
    accepted = {
        (entry["id"], entry["package"]) for entry in snapshot["accepted"] if entry["reason"]
    }
    return [
        f"{name} {versions[name]}: {advisory['id']}, {advisory['summary']} ({advisory['affected']})"
        for advisory in snapshot["advisories"]
        if (name := canonicalize_name(advisory["package"])) in versions
        and SpecifierSet(advisory["affected"]).contains(versions[name], prereleases=True)
        and (advisory["id"], advisory["package"]) not in accepted
    ]


def main(paths: Iterable[Path]) -> None:
    """Print what was found; exit code 1 when there is any."""
    snapshot = json.loads((REQUIREMENTS / "advisories.json").read_text("utf-8"))
    found = [f"{path.name}: {line}" for path in paths for line in findings(pinned(path), snapshot)]
    for line in found:
        print(line)
    print(f"{len(found)} findings; the advisories are those of {snapshot['taken']}")
    sys.exit(bool(found))


if __name__ == "__main__":
    main(sorted(REQUIREMENTS.glob("*.txt")))
