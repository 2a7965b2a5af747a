"""Draw docs/architecture.svg, the map of rooms and imports, and fill the rooms' table in docs/architecture.md.

.venv/bin/python scripts/architecture.py

Everything is read from the code and from the layers in pyproject.toml; a test compares the committed files with
what this would write.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import grimp

from infmap_kit.model.files import write_bytes

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
MAP = ROOT / "docs" / "architecture.svg"
PACKAGES = {"infmap_kit": "toolkit", "infmap_train": "training", "infmap_annotate": "training"}

# In pixels.
_BOX_WIDTH, _BOX_HEIGHT, _ROW, _GAP, _TOP, _WIDTH = 112, 30, 64, 14, 50, 1060
_CENTRES = {"infmap_train": 80, "infmap_kit": 530, "infmap_annotate": 980}
_COLOURS = {"infmap_kit": "#dfe7fb", "infmap_train": "#e3f3e6", "infmap_annotate": "#fbeeda"}

_HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" \
font-size="13" role="img">
<title>Rooms of infmap-kit and the ways between them</title>
<defs><marker id="end" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">\
<path d="M0,0 L8,4 L0,8 z" fill="#6b7787"/></marker></defs>
<rect width="{width}" height="{height}" fill="#ffffff"/>"""

Ways = Mapping[str, frozenset[str]]
"""Room to the rooms that it imports, as ``package.room``."""


def ways_between_rooms() -> Ways:
    """Which room imports which; imports for types alone are none."""
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    found: dict[str, set[str]] = defaultdict(set)
    rooms = {f"{package}.{path.name}" for package in PACKAGES for path in _folders(package)}
    for module in graph.modules:
        here = _room(module)
        if here not in rooms:
            continue
        imported = map(_room, graph.find_modules_directly_imported_by(module))
        found[here] |= {room for room in imported if room in rooms and room != here}
    return {room: frozenset(found[room]) for room in sorted(rooms)}


def needed(ways: Ways) -> Ways:
    """The ways without those that follow from others, so that a drawing of them can be read."""
    reached: dict[str, frozenset[str]] = {}

    def below(room: str) -> frozenset[str]:
        if room not in reached:
            reached[room] = ways[room].union(*map(below, ways[room]))
        return reached[room]

    return {
        room: frozenset(
            to for to in imported if not any(to in below(via) for via in imported - {to})
        )
        for room, imported in ways.items()
    }


def layers(package: str) -> list[list[str]]:
    """Rooms of a package that are folders, from the top; those of one line know nothing of each other."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (lines,) = (
        contract["layers"]
        for contract in told["tool"]["importlinter"]["contracts"]
        if contract.get("containers") == [package]
    )
    folders = {path.name for path in _folders(package)}
    rows = ([room for room in re.findall(r"\w+", line) if room in folders] for line in lines)
    return [row for row in rows if row]


def drawing(ways: Ways) -> str:
    """The map as SVG: the toolkit in the middle, training and annotation, which import it, on either side."""
    places: dict[str, tuple[float, float]] = {}
    for package, centre in _CENTRES.items():
        for number, row in enumerate(layers(package)):
            wide = len(row) * _BOX_WIDTH + (len(row) - 1) * _GAP
            # Rooms that are alone in their row lie aslant, so that fewer ways pass through boxes.
            aslant = (number % 3 - 1) * 150 if len(row) == 1 and package == "infmap_kit" else 0
            for column, room in enumerate(row):
                x = centre - wide / 2 + column * (_BOX_WIDTH + _GAP) + aslant
                places[f"{package}.{room}"] = x, _TOP + number * _ROW
    height = max(y for _, y in places.values()) + _ROW
    parts = [_HEAD.format(width=_WIDTH, height=round(height))]
    for room, imported in needed(ways).items():
        parts += [
            _way(places[room], places[to], aside=_package(room) != _package(to))
            for to in sorted(imported)
        ]
    for package, centre in _CENTRES.items():
        parts.append(_text(centre, _TOP - 18, package, weight="bold"))
    for room, (x, y) in places.items():
        parts.append(
            f'<rect x="{x:.0f}" y="{y:.0f}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="6" '
            f'fill="{_COLOURS[_package(room)]}" stroke="#4a5568"/>'
        )
        parts.append(_text(x + _BOX_WIDTH / 2, y + 20, room.partition(".")[2]))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, *, weight: str = "normal") -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle" font-weight="{weight}" fill="#1b2330">'
        f"{text}</text>"
    )


def _way(start: tuple[float, float], end: tuple[float, float], *, aside: bool) -> str:
    """A line from the lower edge of a box to the upper edge of another, or between their sides."""
    (x1, y1), (x2, y2) = start, end
    if aside:
        right = x2 > x1
        x1, x2 = x1 + _BOX_WIDTH * right, x2 + _BOX_WIDTH * (not right)
        y1, y2, bend = y1 + _BOX_HEIGHT / 2, y2 + _BOX_HEIGHT / 2, (x2 - x1) / 2
        curve = f"C{x1 + bend:.0f},{y1:.0f} {x2 - bend:.0f},{y2:.0f}"
    else:
        x1, x2, y1 = x1 + _BOX_WIDTH / 2, x2 + _BOX_WIDTH / 2, y1 + _BOX_HEIGHT
        bend = min(60.0, (y2 - y1) / 2)
        curve = f"C{x1:.0f},{y1 + bend:.0f} {x2:.0f},{y2 - bend:.0f}"
    dashes = ' stroke-dasharray="5 4"' if aside else ""
    return (
        f'<path d="M{x1:.0f},{y1:.0f} {curve} {x2:.0f},{y2:.0f}" fill="none" stroke="#6b7787"{dashes} '
        'marker-end="url(#end)"/>'
    )


def table(ways: Ways) -> str:
    """A row for each room, from the top: what it holds, and which rooms it imports."""
    lines = ["| room | holds | imports |", "|---|---|---|"]
    for package, folder in PACKAGES.items():
        for row in layers(package):
            for room in row:
                text = (ROOT / folder / package / room / "__init__.py").read_text(encoding="utf-8")
                about = text.partition('"""')[2].partition('"""')[0].partition("\n")[0]
                imported = ", ".join(
                    _short(to, package) for to in sorted(ways[f"{package}.{room}"])
                )
                lines.append(f"| `{package}/{room}` | {about} | {imported or 'none'} |")
    return "\n".join(lines)


def page(text: str, ways: Ways) -> str:
    """The page with its table filled in anew."""
    begin, end = "<!-- rooms: begin -->\n", "<!-- rooms: end -->"
    before, rest = text.split(begin)
    return f"{before}{begin}{table(ways)}\n{end}{rest.split(end)[1]}"


def _short(room: str, package: str) -> str:
    return room.removeprefix(f"{package}.").replace(".", "/")


def _folders(package: str) -> Iterable[Path]:
    return (path.parent for path in (ROOT / PACKAGES[package] / package).glob("*/__init__.py"))


def _package(room: str) -> str:
    return room.partition(".")[0]


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def main() -> None:
    """Write both files."""
    ways = ways_between_rooms()
    write_bytes(MAP, drawing(ways).encode())
    write_bytes(PAGE, page(PAGE.read_text(encoding="utf-8"), ways).encode())


if __name__ == "__main__":
    main()
