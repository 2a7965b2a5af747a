"""Every code block of README and site is run, read or compared by a test, or says above it why not."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from infmap_kit.model.finding import FindingSpec
from infmap_kit.node.check.reading import find_faults
from infmap_kit.tensorrt.gpus import Gpu, Image
from pages.blocks import (
    COMMANDS,
    MARKS,
    NOT_RUN,
    OUTPUT,
    PYTHON,
    ROOT,
    SETTINGS,
    TESTED_BY,
    WHOLE_PAGES,
    Block,
    blocks,
    documents,
)

REASONS = {
    "CI runs both",
    "a sketch, whose bodies are left out",
    "kills for hours",
    "measures for minutes, on an idle machine",
    "needs a GPU",
    "needs a PACS beside it",
    "needs a clone, whose wheels it builds",
    "needs a cluster",
    "needs a package index",
    "needs a trained network and its data set",
    "needs docker",
    "needs readers' decisions",
    "trains for hours, and needs a data set and ImageNet's weights",
}
"""Why a block is not run. A block that could be run is; a new reason is a decision."""

ALL = [block for document in documents() for block in blocks(document)]


def test_every_block_is_found() -> None:
    """A fence that the pattern does not see would be held to nothing."""
    for document in documents():
        fences = re.findall(r"^ *```", document.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(fences) == 2 * len(blocks(document)), document
    assert len(ALL) > 120


def test_every_block_says_what_it_is() -> None:
    assert [
        str(block) for block in ALL if block.language not in (*COMMANDS, OUTPUT, *SETTINGS)
    ] == []
    wrong = [b for b in ALL if b.mark and b.language not in MARKS.get(b.mark, ())]
    assert list(map(str, wrong)) == []


def test_what_is_not_run_says_why() -> None:
    """`python -m pages` lists them by their reasons."""
    said = {block.reason for block in ALL if block.mark == NOT_RUN}
    assert said == REASONS


def test_what_other_tests_do_is_done_there() -> None:
    for block in ALL:
        if block.mark != TESTED_BY:
            continue
        assert (ROOT / block.reason).is_file(), block
    for page, test in WHOLE_PAGES.items():
        assert f'"{Path(page).name}"' in (ROOT / test).read_text(encoding="utf-8")


def test_programs_that_are_not_run_are_python_all_the_same() -> None:
    for block in ALL:
        if block.language == PYTHON and not block.runs:
            ast.parse(block.text)


def _node(text: str, folder: Path) -> None:
    (folder / "archive.token").write_text("secret")
    (folder / "node.toml").write_text(text, encoding="utf-8")
    assert find_faults(folder / "node.toml") == []


def _finding(text: str, folder: Path) -> None:
    (folder / "finding.toml").write_text(text, encoding="utf-8")
    assert FindingSpec.read(folder / "finding.toml").threshold == 0.6


def _plan(text: str, folder: Path) -> None:
    from infmap_train.reproduction.plan import TrainingPlan

    (folder / "plan.toml").write_text(text, encoding="utf-8")
    assert len(TrainingPlan.read(str(folder / "plan.toml")).trainings) == (3 * 2 * 2 + 1) * 5


def _gpus(text: str, _folder: Path) -> None:
    table = tomllib.loads(text)
    assert [Gpu(**facts).generation for facts in table["gpus"].values()] == ["SM89"]
    for release, facts in table["images"].items():
        image = Image(release=release, reference=release, **facts)
        assert image.loads(facts["tensorrt"])


def _prometheus(text: str, _folder: Path) -> None:
    jobs = {job["job_name"] for job in yaml.safe_load(text)["scrape_configs"]}
    alerts = ROOT / "toolkit" / "infmap_kit" / "host"
    named = set(
        re.findall(r'job="([\w-]+)"', "".join(p.read_text() for p in alerts.rglob("*.yml")))
    )
    assert jobs == named


def _dask_cluster(text: str, _folder: Path) -> None:
    """Its processes are given what Dask's own command line takes."""
    document = yaml.safe_load(text)
    assert document["kind"] == "DaskCluster"
    for part in ("worker", "scheduler"):
        (container,) = document["spec"][part]["spec"]["containers"]
        program, kind, *rest = container["args"]
        assert (program, kind) == ("dask", part)
        helped = subprocess.run(
            [sys.executable, "-m", "dask", kind, "--help"],
            capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "200"},
        ).stdout  # fmt: skip
        for option in (word for word in rest if word.startswith("--")):
            assert re.search(rf"{option}\b", helped.replace("/", " ")), option


READERS: dict[tuple[str, str], Callable[[str, Path], None]] = {
    ("docs/node.md", "toml"): _node,
    ("docs/finding.md", "toml"): _finding,
    ("docs/cluster.md", "toml"): _plan,
    ("docs/cluster.md", "yaml"): _dask_cluster,
    ("docs/extending.md", "toml"): _gpus,
    ("docs/operations.md", "yaml"): _prometheus,
}


@pytest.mark.parametrize(
    "block", [b for b in ALL if b.language in SETTINGS and b.language != "json"], ids=str
)
def test_settings_are_read_by_what_they_are_for(block: Block, tmp_path: Path) -> None:
    if block.language == "yaml" and block.page == "docs/cluster.md":
        pytest.importorskip("distributed", reason="needs infmap-kit[cohort]")
    READERS[block.page, block.language](block.text, tmp_path)


def test_the_blocks_pattern_sees_indents_and_marks() -> None:
    from pages.blocks import _blocks

    marked = "1. Do:\n\n    <!-- not run: needs a GPU -->\n    ```sh\n    a \\\n      b\n    ```\n"
    text = f"{marked}\n```text\nc\n```\n"
    first, second = _blocks(text, "page.md")
    assert (first.language, first.text, first.line) == ("sh", "a \\\n  b\n", 4)
    assert (first.mark, first.reason, first.runs) == (NOT_RUN, "needs a GPU", False)
    assert (second.language, second.text, second.mark) == (OUTPUT, "c\n", "")
