"""Served studies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from doctors import OpenSite, Site, new_study


@pytest.fixture
def open_site(tmp_path: Path) -> Iterator[OpenSite]:
    """Make and serve a study: ``open_site(drawn=2, bare=1)``."""
    with contextlib.ExitStack() as stack:

        def start(**options: Any) -> Site:
            return stack.enter_context(Site(*new_study(tmp_path, **options)).open())

        yield start
