"""A virtual environment of links to what is installed here: nothing is fetched or built."""

from __future__ import annotations

import importlib.metadata
import venv
from collections import Counter
from pathlib import Path

from without_extras import distributions, normal


def linked_environment(
    folder: Path, *extras: str, ours: bool = True, with_pip: bool = False
) -> Path:
    """Make an environment of what extras bring, without our own code; gives its Python.

    Parameters
    ----------
    folder
        Where to make it.
    extras
        Extras of infmap-kit; with none, or an empty one, what it always brings.
    ours
        Whether the record of infmap-kit itself is there.
    with_pip
        Whether it has pip of its own.
    """
    venv.create(folder, symlinks=True, with_pip=with_pip)
    (site,) = folder.glob("lib/python*/site-packages")
    names = set().union(*map(distributions, extras or ("",)))
    if not ours:
        names.discard("infmap-kit")
    allowed = [one for one in importlib.metadata.distributions() if normal(one.name) in names]
    # A folder that several share (``google``) is made, and what each has in it is linked.
    shared = Counter(
        top
        for one in importlib.metadata.distributions()
        for top in {f.parts[0] for f in one.files or ()}
    )
    for one in allowed:
        for file in one.files or ():
            depth = 2 if shared[file.parts[0]] > 1 and len(file.parts) > 2 else 1
            place = Path(*file.parts[:depth])
            link = site / place
            # Of an editable installation the record alone: its code is this very checkout.
            is_elsewhere = one.name == "infmap-kit" and ".dist-info" not in place.parts[0]
            if (
                is_elsewhere
                or ".." in place.parts
                or link.is_symlink()
                or place.parts[0] == "__pycache__"
            ):
                continue
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(Path(str(one.locate_file(place))).resolve())
    return folder / "bin" / "python"
