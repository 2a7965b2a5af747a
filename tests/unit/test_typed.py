"""Every package says that it is typed, so that a type checker looks into it."""

from __future__ import annotations

from importlib.resources import files

import pytest


@pytest.mark.parametrize("package", ["infmap_kit", "infmap_train", "infmap_annotate"])
def test_packages_are_typed(package: str) -> None:
    assert (files(package) / "py.typed").is_file()
