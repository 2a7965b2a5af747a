"""The frame of every page: one file, no request to anywhere, light and dark, paper and phone."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infmap_kit.text import shown

if TYPE_CHECKING:
    import jinja2

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""A page makes no request, even by a slip: pictures stand in it, and there are no scripts."""

PALETTE = {
    "ground": ("#ffffff", "#12171f"),
    "panel": ("#f5f7fa", "#1a212c"),
    "line": ("#d9dee6", "#2d3644"),
    "text": ("#1b2330", "#e6eaf0"),
    "soft": ("#5b6675", "#9aa6b6"),
    "c0": ("#1f6fb2", "#5aa9e6"),
    "c1": ("#b4690e", "#e0a458"),
    "c2": ("#2f8f6b", "#5bc49a"),
    "c3": ("#8a4fa3", "#c39ad6"),
    "baseline": ("#7a8594", "#8793a3"),
    "good": ("#17703c", "#62c98b"),
    "warning": ("#8a5a00", "#e0b25a"),
    "bad": ("#a6261d", "#ff8a80"),
}
"""Colours by name, on a light ground and on a dark one; a page has them as ``var(--name)``."""

_TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, folder: Path = _TEMPLATES, **values: Any) -> str:
    """Fill in a template; what is filled in is escaped, tables and drawings are not.

    Parameters
    ----------
    template
        Its name. A page extends ``frame.html``, which shows ``title`` and ``subtitle``, and takes
        the parts of ``parts.html``.
    folder
        The room's own templates, which stand before those that all share.
    values
        Every name that the template uses.
    """
    return _environment(folder).get_template(template).render(values)


@functools.cache
def _environment(folder: Path) -> jinja2.Environment:
    # Not needed to show a table in the terminal.
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([folder, _TEMPLATES]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_inactive,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"policy": POLICY, "palette": PALETTE}
    return environment


def _inactive(value: object) -> object:
    """Make a text one in which nothing acts on the page; what is markup already was made by us."""
    return shown(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
