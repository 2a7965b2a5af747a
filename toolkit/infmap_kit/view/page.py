"""The page itself, the same served and exported: one HTML file, one script, one style.

The script's modules are put together here: a page that was opened as a file may load scripts, and no modules.
"""

from __future__ import annotations

import re
from pathlib import Path

from infmap_kit.report.page import render
from infmap_kit.view.opinions import LONGEST_NOTE
from infmap_kit.web.shared import SHARED

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
"""Nothing but this page's own files, and nothing inside the page acts."""

_HERE = Path(__file__).parent
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./([\w-]+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:class|function|const) (\w+))", re.MULTILINE)


def html(*, exported: bool) -> str:
    """The page, of a server or of a folder."""
    return render(
        "view.html",
        _HERE / "templates",
        policy=POLICY,
        source="exported" if exported else "served",
        longest_note=LONGEST_NOTE,
    )


def style() -> str:
    """The style sheet that all pages share, followed by that of this page."""
    css = SHARED / "css", _HERE / "static" / "css"
    files = [css[0] / "base.css", css[0] / "viewer.css", css[1] / "view.css"]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def icon() -> str:
    """The icon in the browser's tab, as SVG."""
    return (SHARED / "icon.svg").read_text(encoding="utf-8")


def script() -> str:
    """Every module once, after those that it imports, each in a function of its own."""
    parts: dict[str, str] = {}
    _add("main", parts)
    return '"use strict";\n(async () => {\n' + "\n".join(parts.values()) + "\n})();\n"


def _add(name: str, parts: dict[str, str]) -> None:
    own, shared = _HERE / "static" / "js" / f"{name}.js", SHARED / "js" / f"{name}.js"
    text = (own if own.exists() else shared).read_text(encoding="utf-8")
    for _, imported in _IMPORT.findall(text):
        if imported not in parts:
            _add(imported, parts)
    given = ", ".join(_EXPORT.findall(text))
    text = _EXPORT.sub("", _IMPORT.sub(r"const \1 = $\2;", text))
    parts[name] = f"const ${name} = await (async () => {{\n{text}\nreturn {{ {given} }};\n}})();"
