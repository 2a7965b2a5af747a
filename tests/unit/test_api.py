"""What `import infmap_kit` and `import infmap_train` promise."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import infmap_kit
import infmap_train

ROOT = Path(__file__).parents[2]
PACKAGES = {infmap_kit: "toolkit", infmap_train: "training"}

packages = pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
loaded_packages = pytest.mark.parametrize(
    "package",
    [infmap_kit, pytest.param(infmap_train, marks=pytest.mark.train)],
    ids=lambda package: package.__name__,
)


def _typed_names(package: ModuleType) -> set[str]:
    """The names that a type checker sees."""
    path = ROOT / PACKAGES[package] / package.__name__ / "__init__.py"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name for node in imports for alias in node.names}


@loaded_packages
def test_every_promised_name_is_there_typed_and_described(package: ModuleType) -> None:
    promised = set(package.__all__) - {"__version__"}
    assert promised == _typed_names(package)
    assert promised <= set(dir(package))
    for name in promised:
        value = getattr(package, name)
        assert inspect.getdoc(value), f"{name} has no docstring"
        assert re.search(rf"\b{name}\b", (ROOT / "docs" / "python-api.md").read_text())


@packages
def test_another_name_is_refused_as_by_every_module(package: ModuleType) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'find_infections'"):
        _ = package.find_infections
    assert not hasattr(package, "find_infections")


def test_public_errors_are_those_that_users_meet_in_inference_and_release() -> None:
    errors = importlib.import_module("infmap_kit.errors")
    for name in infmap_kit.__all__:
        value = getattr(infmap_kit, name)
        if inspect.isclass(value) and issubclass(value, Exception):
            assert value is getattr(errors, name)
            assert issubclass(value, infmap_kit.InfmapError)


@pytest.mark.parametrize(
    ("package", "name", "missing", "extra"),
    [
        ("infmap_kit", "export_model", "onnx", "export"),
        ("infmap_train", "fit", "matplotlib", "train"),
    ],
)
def test_a_name_that_lacks_a_package_says_which_extra_brings_it(
    package: str, name: str, missing: str, extra: str
) -> None:
    script = (
        f"import sys\nsys.modules[{missing!r}] = None\nimport {package}\n"
        f"from infmap_kit import MissingDependency\n"
        f"try:\n    {package}.{name}\nexcept MissingDependency as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert f"needs {missing}, which is not installed" in done.stdout
    assert f"pip install 'infmap-kit[{extra}]'" in done.stdout


@packages
def test_importing_loads_nothing_heavy_and_takes_no_time(package: ModuleType) -> None:
    """0.2 s is promised; a machine with much else to do gets three attempts."""
    script = (
        "import sys, time\nbefore = set(sys.modules)\nstarted = time.perf_counter()\n"
        f"import {package.__name__}\n"
        "print(time.perf_counter() - started, *sorted(set(sys.modules) - before))"
    )
    seconds = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        elapsed, *loaded = done.stdout.split()
        seconds.append(float(elapsed))
        assert {name.partition(".")[0] for name in loaded} <= {
            *sys.stdlib_module_names, "infmap_kit", "infmap_train",
            # What OpenVINO must not find.
            "openvino_telemetry",
        }  # fmt: skip
        if seconds[-1] < 0.2:
            return
    pytest.fail(f"importing took {seconds} s")
