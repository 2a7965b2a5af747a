"""Text of outside, such as the name of a file, as a person may look at it."""

from __future__ import annotations

import unicodedata


def printable(text: object, *, keep: str = "") -> str:
    r"""Show what would move the cursor, turn the line around or cannot be printed at all by its escape.

    A newline would look like another line of output, a right-to-left override makes ``exe.png`` of
    ``gnp.exe`` (CVE-2021-42574), and bytes of a name that are no UTF-8 (lone surrogates, PEP 383) end
    printing in an error.

    Parameters
    ----------
    text
        Anything that has a text.
    keep
        Characters that stay as they are, such as ``"\n"`` in text of several lines.

    Returns
    -------
    str
        ``\n``, ``\x1b``, ``\u202e`` for such characters, ``\xe9`` for a byte that is no UTF-8.
    """
    plain = str(text)
    if plain.isprintable():
        return plain
    return "".join(
        one
        if one in keep or one.isprintable() or unicodedata.category(one) == "Zs"
        else _escape(one)
        for one in plain
    )


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
