"""What CONTRIBUTING.md says of the rooms, beyond the layers of imports that `lint-imports` holds."""

from __future__ import annotations

import ast
import functools
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOLKIT = ROOT / "toolkit" / "infmap_kit"
PACKAGES = (TOOLKIT, ROOT / "training" / "infmap_train", ROOT / "training" / "infmap_annotate")
MOST_MODULES = 12
MOST_LINES = 400
TRAINING = {"train": "infmap_train", "annotate": "infmap_annotate"}
"""Folders of tests/unit whose package lies in training/; any other has the name of a room of the toolkit."""
OF_NO_MODULE = {
    "api", "architecture", "documents", "fuzz", "habits", "help", "pages", "previous", "supply_chain", "typed",
}  # fmt: skip
"""What tests/unit holds of the whole: what is promised, written, committed or installed."""


@functools.cache
def _parsed() -> dict[Path, ast.Module]:
    """Every module, parsed once."""
    return {
        path: ast.parse(path.read_text(encoding="utf-8"))
        for package in PACKAGES
        for path in sorted(package.rglob("*.py"))
    }


def _modules() -> dict[Path, list[str]]:
    """Folder to the modules in it."""
    folders = defaultdict(list)
    for path in _parsed():
        folders[path.parent].append(path.name)
    return folders


def test_no_folder_holds_more_than_a_dozen_modules() -> None:
    crowded = {
        str(folder.relative_to(ROOT)): len(names)
        for folder, names in _modules().items()
        if len(set(names) - {"__init__.py"}) > MOST_MODULES
    }
    assert not crowded, "give the folder sub-packages by what they hold"


def test_no_file_has_more_lines_than_a_reader_can_keep_in_mind() -> None:
    folders = ("toolkit", "training", "tests", "scripts", "benchmarks")
    lines = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8").count("\n")
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {path for path, count in lines.items() if count > MOST_LINES} == set()


def test_each_unit_test_has_the_name_of_what_it_tests() -> None:
    """A module's or a package's of its room, or such a name and a word more: ``test_raster_refusals.py``."""
    unit = ROOT / "tests" / "unit"
    strangers = []
    for path in sorted(unit.rglob("test_*.py")):
        name, room = path.stem.removeprefix("test_"), path.relative_to(unit).parts[0]
        if path.parent == unit:
            names = OF_NO_MODULE | {other.stem for other in TOOLKIT.iterdir()}
        else:
            package = ROOT / "training" / TRAINING[room] if room in TRAINING else TOOLKIT / room
            names = {package.name, *(other.stem for other in package.rglob("*.py"))}
            names |= {other.name for other in package.rglob("*/")}
        if name not in names and not any(name.startswith(f"{known}_") for known in names):
            strangers.append(str(path.relative_to(ROOT)))
    assert not strangers


def test_every_folder_with_modules_is_a_package() -> None:
    """Without ``__init__.py`` a folder is importable, and import-linter does not look into it."""
    bare = [folder for folder, names in _modules().items() if "__init__.py" not in names]
    assert not bare


def test_contributing_draws_every_room_in_the_order_of_the_layers() -> None:
    """Lowest first; `lint-imports` holds the same order."""
    drawn: dict[str, list[str]] = defaultdict(list)
    package = ""
    for line in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines():
        if header := re.match(r"t[a-z]+/(\w+)/ ", line):
            package = header[1]
        elif room := re.match(r"  (\w+)/ ", line):
            drawn[package].append(room[1])
    for folder in PACKAGES:
        rooms = {path.name for path in _modules() if path.parent == folder}
        heights = _heights(folder.name)
        assert set(drawn[folder.name]) == rooms
        assert drawn[folder.name] == sorted(drawn[folder.name], key=lambda room: heights[room])


def _heights(package: str) -> dict[str, int]:
    """How high each room of a package lies, as import-linter is told."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = (
        contract["layers"]
        for contract in told["tool"]["importlinter"]["contracts"]
        if contract.get("containers") == [package]
    )
    return {
        room: height
        for height, layer in enumerate(reversed(layers))
        for room in re.findall(r"\w+", layer)
    }


def test_files_that_the_documentation_names_are_there() -> None:
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("tests/**/*.md")]
    roots = (ROOT, ROOT / "toolkit", ROOT / "training")
    missing = [
        f"{document.relative_to(ROOT)}: {named}"
        for document in documents
        if document.name != "CHANGELOG.md"
        for named in re.findall(
            r"`((?:toolkit|training|infmap_\w+|tests|scripts)/[\w/.]+)`",
            document.read_text(encoding="utf-8"),
        )
        if not any((root / named).exists() for root in roots)
    ]
    assert not missing


def test_no_class_name_stands_twice_in_the_toolkit() -> None:
    places = defaultdict(list)
    for path, tree in _parsed().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and path.is_relative_to(TOOLKIT):
                places[node.name].append(f"{path.relative_to(TOOLKIT)}:{node.lineno}")
    twice = {name: lines for name, lines in places.items() if len(lines) > 1}
    assert not twice


def test_nobody_but_the_targets_asks_which_target_it_is() -> None:
    asked = {
        str(path.relative_to(TOOLKIT))
        for path, tree in _parsed().items()
        if path.is_relative_to(TOOLKIT) and "targets" not in path.parts
        for node in ast.walk(tree)
        if _asks_for_target(node)
    }
    assert not asked, "let the target's own object say it"


def _asks_for_target(node: ast.AST) -> bool:
    """Whether an expression compares with a member of ``Target``, or something's ``target`` with anything."""
    if not isinstance(node, ast.Compare):
        return False
    return any(
        isinstance(part, ast.Attribute)
        and (
            part.attr == "target"
            or (isinstance(part.value, ast.Name) and part.value.id == "Target")
        )
        for side in (node.left, *node.comparators)
        for part in _parts(side)
    )


def _parts(side: ast.expr) -> Iterator[ast.expr]:
    """One side of a comparison, or what a tuple, list or set there holds."""
    yield from side.elts if isinstance(side, ast.Tuple | ast.List | ast.Set) else (side,)
