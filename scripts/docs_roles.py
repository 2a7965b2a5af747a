"""Griffe's extension: Sphinx' roles in docstrings, such as :func:`~package.module.name`, shown as the name."""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:\w+:)?[a-z]+:`(~?)([^`<]+)`")


def without_roles(text: str) -> str:
    """The text with names in the place of roles; the last part of a name where the role says so."""
    return _ROLE.sub(lambda role: f"`{role[2].rpartition('.')[2] if role[1] else role[2]}`", text)


class Roles(griffe.Extension):
    """Called by griffe for each object that it has read."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Mend its docstring."""
        if obj.docstring is not None:
            obj.docstring.value = without_roles(obj.docstring.value)
