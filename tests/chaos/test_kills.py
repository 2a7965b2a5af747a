"""Twelve kills, and proof that the harness sees what is lost, twice, half or printed."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.invariants import (
    Violation,
    demand_anonymous,
    demand_no_leftovers,
    demand_same,
    demand_whole,
)
from chaos.table import DOCUMENT, filled
from node_host import PATIENT_NAME


@pytest.mark.slow
@pytest.mark.integration
def test_twelve_kills() -> None:
    from chaos.campaign import campaign
    from chaos.victim import all_victims
    from chaos.world import World

    seed = random.SystemRandom().randrange(2**32)
    # Not below pytest's folder: processes of less privilege work in it.
    with (
        tempfile.TemporaryDirectory(prefix="infmap-chaos-") as folder,
        World(Path(folder)) as world,
    ):
        record = campaign(world, all_victims(), kills=12, seed=seed)
    shown = "\n".join(
        f"{k.number} {k.victim} {k.trouble}\n{k.violation}" for k in record.violations
    )
    assert not record.violations, f"seed {seed}\n{shown}"
    assert len(record.landed) == 12, f"seed {seed}"


def test_every_part_of_the_product_is_a_victim() -> None:
    from chaos.victim import all_victims

    assert {victim.name for victim in all_victims()} >= {
        "annotate", "export", "infer", "install", "node", "orthanc", "rollback", "serve", "server", "stub",
    }  # fmt: skip


def _half_a_file(folder: Path) -> None:
    (folder / "answer.json").write_text('{"detected": tr')
    demand_whole(folder.iterdir())


def _left_behind(folder: Path) -> None:
    (folder / ".answer.json.part").touch()
    demand_no_leftovers(folder)


@pytest.mark.parametrize(
    ("violates", "named"),
    [
        (_half_a_file, "half: .*answer.json"),
        (_left_behind, "left behind: .*part"),
        (lambda _: demand_same([1, 2], [1, 2, 3], "answers"), r"lost: answers: \[3\]"),
        (
            lambda _: demand_same([1, 2, 2], [1, 2], "answers"),
            r"twice or of nobody: answers: \[2\]",
        ),
        (lambda _: demand_anonymous(f"received {PATIENT_NAME}"), "in a log"),
        (lambda _: demand_anonymous("received 1.2.3", ["1.2.3"]), "in a log"),
    ],
)
def test_a_violation_is_seen(tmp_path: Path, violates: Callable[[Path], None], named: str) -> None:
    with pytest.raises(Violation, match=named):
        violates(tmp_path)


def test_the_figures_in_the_documentation_are_those_of_the_records() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert filled(text) == text, "run `make reliability`"
