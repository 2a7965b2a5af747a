"""Texts out of other people's files, made fit to be shown on a terminal or a page, or written as JSON."""

from __future__ import annotations

import json
import unicodedata

LONGEST = 1500
"""Characters of a line that are shown; of a longer one the middle is left out."""


def shown(text: str) -> str:
    r"""A text in which nothing acts on what shows it, in as many lines.

    Control characters, which move a terminal's cursor or change its title, marks that turn the direction of
    writing, other invisible characters and lone surrogates are shown as Python writes them: ``\x1b``,
    ``\u202e``. Markup is text for our terminals (:mod:`infmap_kit.command`) and our pages.
    """
    return text if text.isprintable() else "".join(map(_inactive, text))


def one_line(text: str) -> str:
    r"""The same in one line, of bounded length: line breaks are shown as ``\n``."""
    if not text.isprintable():
        text = "".join(map(_inactive, text)).replace("\n", "\\n").replace("\t", "\\t")
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST // 2]}…{text[-LONGEST // 2 :]}"


def json_bytes(document: object) -> bytes:
    r"""A document as indented JSON in UTF-8, whatever the names of files in it.

    Python keeps bytes of a name that are no UTF-8 as lone surrogates (PEP 383). They are written as JSON's
    own escapes (``\udce9``), so that a script that reads the JSON in Python finds the file by that name.
    """
    return _encoded(json.dumps(document, indent=2, ensure_ascii=False))


def json_line(document: object) -> bytes:
    """A document as one line of JSON Lines, in UTF-8; names as in :func:`json_bytes`."""
    return _encoded(json.dumps(document, ensure_ascii=False))


def _encoded(text: str) -> bytes:
    return (text + "\n").encode("utf-8", "backslashreplace")


# Line breaks, and what words of some scripts are joined and kept apart with.
_HARMLESS = "\n\t\u200c\u200d"


def _inactive(one: str) -> str:
    if one.isprintable() or one in _HARMLESS or unicodedata.category(one) == "Zs":
        return one
    code = ord(one)
    # A byte of a file's name that is no UTF-8 (PEP 383).
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return one.encode("unicode_escape").decode("ascii")
