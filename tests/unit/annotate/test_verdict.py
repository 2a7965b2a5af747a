"""The rule by which a mask becomes final, case by case."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

from doctors import HEIGHT, WIDTH, Mask, write_pictures
from infmap_annotate.reading.decisions import Details, Ledger, Refused
from infmap_annotate.reading.verdict import Jury, Verdict
from infmap_annotate.reading.worklist import Worklist
from infmap_annotate.study.candidates import add_model
from infmap_annotate.study.collection import init_study
from infmap_annotate.study.folder import Rules, Study
from infmap_annotate.study.readers import Reader, readers, revoke_reader


def _bar(start: int) -> Mask:
    """Twenty columns; two bars that lie d columns apart have a Dice of 1 - d / 20."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[:, start : start + 20] = True
    return mask


# "near" has a Dice of 0.9 with "base", "nearer" of 0.95 with both, "far" of 0.5 with "base".
MODELS = {"base": 10, "nearer": 11, "near": 12, "far": 20}


@dataclasses.dataclass
class Bench:
    """One radiograph, and readers who choose by a model's name."""

    study: Study

    def __post_init__(self) -> None:
        self.jury = Jury(self.study)
        self.worklist = Worklist(self.study, self.jury)
        self.ledger = Ledger(self.study, self.worklist)
        self._keys = itertools.count()

    def reader(self, name: str) -> Reader:
        return next(reader for reader in readers(self.study) if reader.name == name)

    def choose(self, **choices: str | int) -> Bench:
        """A model's name picks its mask; a number draws a bar there."""
        for name, choice in choices.items():
            reader = self.reader(name)
            item = self.worklist.desk(reader).current
            assert item is not None
            asked = Details(elapsed_ms=1, tab="t", key=str(next(self._keys)))
            if isinstance(choice, int):
                self.ledger.draw(reader, item.id, _bar(choice), 0, asked)
                continue
            numbers = {
                row["name"]: row["id"]
                for row in self.study.database.reading().execute("SELECT * FROM model")
            }
            slot = [mask.model_id for mask in item.order].index(numbers[choice]) + 1
            self.ledger.choose(reader, item.id, "pick", slot, asked)
        return self

    def verdict(self) -> Verdict:
        (found,) = self.jury.verdicts().values()
        return found

    @property
    def outcome(self) -> tuple[str, str | None]:
        """How it was settled, and the model whose mask it is."""
        verdict = self.verdict()
        names = {
            row["id"]: row["name"]
            for row in self.study.database.reading().execute("SELECT * FROM model")
        }
        candidate = verdict.candidate
        return verdict.by, None if candidate is None else names.get(candidate.model_id, "drawing")


@pytest.fixture
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Bench:
    first = getattr(request, "param", ["anna", "ben", "cara"])
    data = write_pictures(tmp_path / "data", drawn=0, bare=1)
    init_study(
        tmp_path / "study", data, first=first, third=["tom", "tess"], rules=Rules(dice_bound=0.8)
    )
    study = Study(tmp_path / "study")
    (picture,) = study.pictures()
    for name, start in MODELS.items():
        add_model(study, name, 2, {picture.id: _bar(start)}, {"made_by": "tests"})
    return Bench(study)


@pytest.mark.parametrize(
    ("choices", "outcome"),
    [
        ({"anna": "base"}, ("open", None)),
        ({"anna": "base", "ben": "base"}, ("majority", "base")),
        ({"anna": "far", "ben": "base", "cara": "far"}, ("majority", "far")),
        ({"anna": "base", "ben": "base", "cara": "base"}, ("unanimous", "base")),
        ({"anna": "base", "ben": "nearer"}, ("open", None)),
        # All alike: "nearer" lies between the two others.
        ({"anna": "base", "ben": "near", "cara": "nearer"}, ("alike", "nearer")),
        ({"anna": "base", "ben": "near", "cara": "far"}, ("disputed", None)),
        # Drawn anew means rejected, however near.
        ({"anna": "base", "ben": "near", "cara": 11}, ("disputed", None)),
        ({"anna": 40, "ben": 41, "cara": 42}, ("alike", "drawing")),
        ({"anna": 40, "ben": 41, "cara": 60}, ("disputed", None)),
    ],
    ids=str,
)
def test_three_readers(
    bench: Bench, choices: dict[str, str | int], outcome: tuple[str, str | None]
) -> None:
    assert bench.choose(**choices).outcome == outcome


@pytest.mark.parametrize("bench", [["anna"]], indirect=True)
def test_one_reader_alone_decides(bench: Bench) -> None:
    assert bench.choose(anna="far").outcome == ("only reader", "far")


@pytest.mark.parametrize("bench", [["anna", "ben"]], indirect=True)
def test_two_readers_who_differ_wait_for_a_third(bench: Bench) -> None:
    assert bench.choose(anna="base", ben="far").outcome == ("disputed", None)
    assert bench.choose(tom="far").outcome == ("third reader", "far")


def test_a_third_reader_sees_what_the_others_chose_and_nothing_else(bench: Bench) -> None:
    tom = bench.reader("tom")
    assert bench.worklist.desk(tom).current is None
    bench.choose(anna="base", ben="far", cara=50)
    item = bench.worklist.desk(tom).current
    assert item is not None
    assert {mask.kind for mask in item.order} == {"model", "reader"}
    assert len(item.order) == 3
    assert bench.choose(tom=55).outcome == ("third reader", "drawing")
    # Nobody else is asked again.
    assert bench.worklist.desk(bench.reader("tess")).current is None


def test_a_third_reader_whose_dispute_changed_meanwhile_has_to_look_again(bench: Bench) -> None:
    bench.choose(anna="base", ben="far", cara=50)
    tom = bench.reader("tom")
    seen = bench.worklist.desk(tom).current
    assert seen is not None
    asked = Details(elapsed_ms=1, tab="t")
    bench.ledger.undo(bench.reader("cara"), None, asked)
    bench.choose(cara=70)
    with pytest.raises(Refused) as caught:
        bench.ledger.choose(tom, seen.id, "pick", 1, asked)
    assert caught.value.code == "not-current"
    # Settled by the others, or by another third reader: nothing is left to decide.
    bench.choose(tess="far")
    with pytest.raises(Refused) as caught:
        bench.ledger.choose(tom, seen.id, "pick", 1, asked)
    assert caught.value.code == "decided-elsewhere"


def test_what_a_reader_takes_back_counts_no_more(bench: Bench) -> None:
    bench.choose(anna="base", ben="base")
    bench.ledger.undo(bench.reader("ben"), None, Details(elapsed_ms=0, tab="t"))
    assert bench.outcome == ("open", None)


def test_nobody_waits_for_a_reader_whose_token_was_revoked(bench: Bench) -> None:
    bench.choose(anna="base", ben="near")
    assert bench.verdict().candidate is None
    with bench.study.writing() as sql:
        revoke_reader(sql, "cara")
    assert bench.outcome[0] == "alike"
