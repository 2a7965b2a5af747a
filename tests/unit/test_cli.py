"""The command line: quick, light, and one clear line when something is wrong."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from bench_records import bench_record
from commands import run_command
from infmap_kit.cli import app
from pictures import read_picture

HEAVY = (
    "tensorflow",
    "openvino",
    "tensorrt",
    "tensorrt_rtx_bindings",
    "yaml",
    "tritonclient",
    "onnxruntime",
    "onnx",
    "cv2",
    "pydicom",
    "pynetdicom",
    "pydantic",
    "starlette",
    "uvicorn",
    "jinja2",
    "requests",
    "prometheus_client",
    "highdicom",
    "nncf",
    "dask",
    "distributed",
    "fsspec",
    "pyarrow",
    "imagecodecs",
)
ROOT = Path(__file__).parents[2]


def _commands(group: typer.Typer, prefix: str = "") -> Iterator[str]:
    """Every command that can be typed, with the groups that it stands in."""
    for command in group.registered_commands:
        if command.callback is not None:
            yield f"{prefix}{command.name or command.callback.__name__.replace('_', '-')}"
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            yield from _commands(inner.typer_instance, f"{prefix}{inner.name} ")


COMMANDS = sorted(_commands(app))


def _infmap_kit(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run_command("infmap-kit", *arguments)


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom infmap_kit.cli import main\nsys.argv = ['infmap-kit', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"sys.stderr.write(' '.join(name for name in {HEAVY!r} if name in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "export" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    done = _infmap_kit(*command.split(), "--help")
    assert done.returncode == 0
    assert "Example" in done.stdout


def test_every_command_stands_in_the_documentation() -> None:
    assert {"export", "verify published", "serve", "infer", "doctor", "deploy compose"} <= set(
        COMMANDS
    )
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"]
    text = " ".join(page.read_text() for page in pages)
    assert [command for command in COMMANDS if command not in text] == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((), "fill it with `infmap-kit export`"),
        (("--samples", "50"), "fill it with `infmap-kit export`"),
        (("chest.jpg",), "cannot read chest.jpg"),
        (("./table5",), "cannot read table5"),
    ],
)
def test_bench_without_a_command_measures_latency(
    arguments: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    """As it always did; a file that is called as a command is given with its folder."""
    done = _infmap_kit("bench", *arguments, "--repository", tmp_path / "nowhere")
    assert done.returncode != 0
    assert reason in done.stderr


def test_bench_compare_says_what_changed(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("before.json", "after.json")]
    for seed, path in enumerate(paths):
        bench_record(seed=seed).write(path)
    done = _infmap_kit("bench", "compare", *paths, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert {change["verdict"] for change in document["changes"]} == {"no change beyond noise"}


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["export", "nowhere"], 1, "nowhere does not exist"),
        (["export", "nowhere", "--precision", "fp8"], 1, "expected --precision to be one of"),
        (["export", "nowhere", "--target", "toaster"], 1, "expected --target to be one of"),
        (["serve", "--repository", "nowhere"], 1, "fill it with `infmap-kit export`"),
        (["bench", "--repository", "nowhere"], 1, "fill it with `infmap-kit export`"),
        (["bench", "compare", "x.json", "y.json"], 1, "cannot read x.json"),
        (["bench", "table5", "--only", "unet/vgg"], 1, "expected encoder to be one of"),
        (["bench", "table5", "--precision", "fp7"], 1, "expected --precision to be one of"),
        (["accept", "nowhere"], 1, "expected the folder of a repository, found nowhere"),
        (["tune", "--repository", "nowhere"], 1, "fill it with `infmap-kit export`"),
        (["tune", "--for", "beauty"], 1, "expected --for to be one of latency, throughput"),
        (["deploy", "compose", "--repository", "nowhere"], 1, "fill it with `infmap-kit export`"),
        (["serve", "--runtime", "podman"], 1, "expected --runtime to be one of auto, docker"),
        (["export", "nowhere", "--target", "openvino", "--batches", "many"], 1, "such as 1,8,32"),
        (["verify", "compile", "nowhere"], 1, "nowhere does not exist"),
        (["progression", "nowhere.json"], 1, "cannot read nowhere.json"),
        (["progression"], 1, "expected either results (files, folders) or --node-store"),
        (["progression", "noise", "x.png", "-o", "n.json", "--variants", "3"], 1, "20 to 10000"),
        (["no-such-command"], 2, "No such command"),
        (["infer", "x.png"], 2, "--output"),
    ],
)
def test_errors_are_one_line_and_a_code(
    arguments: list[str], code: int, reason: str, tmp_path: Path
) -> None:
    done = run_command("infmap-kit", *arguments, cwd=tmp_path)
    assert done.returncode == code
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    if code == 1:
        assert done.stderr.startswith("error: ")
        assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_brackets_and_colons_of_a_name_are_printed(tmp_path: Path) -> None:
    output = tmp_path / "[red]x:bug:"
    done = _infmap_kit("synthesize", "--output", output, "--count", 1, "--size", 256)
    assert str(output) in "".join(done.stderr.split("\n"))


def test_synthetic_radiographs_come_with_masks(tmp_path: Path) -> None:
    done = _infmap_kit("synthesize", "--output", tmp_path, "--count", 2, "--size", 256, "--seed", 7)
    assert done.returncode == 0
    ill, well = (read_picture(path, gray=True) for path in sorted((tmp_path / "images").iterdir()))
    assert ill.shape == well.shape == (256, 256)
    (mask_path,) = (tmp_path / "infection_masks").iterdir()
    mask = read_picture(mask_path, gray=True)
    assert set(mask.ravel()) == {0, 255}
    assert len((tmp_path / "index.csv").read_text().splitlines()) == 3


def test_a_synthetic_course_comes_with_its_times(tmp_path: Path) -> None:
    done = _infmap_kit("synthesize", "--output", tmp_path, "--count", 3, "--size", 128, "--course")
    assert done.returncode == 0
    with (tmp_path / "times.csv").open() as file:
        times = {row["file"]: row["time"] for row in csv.DictReader(file)}
    assert list(times) == sorted(path.name for path in tmp_path.glob("*.png"))
    assert list(times.values()) == sorted(times.values())


def test_export_json_is_one_document(tmp_path: Path, demo_model: Path) -> None:
    done = _infmap_kit("export", demo_model, "--repository", tmp_path / "repository", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["manifest"]["precision"] == "fp32"
    assert document["gate"]["dice"] >= 0.999
    assert document["gate"]["flips"] == []
