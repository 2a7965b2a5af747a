"""A study's figures: progress, agreement, and whose masks the readers preferred."""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from infmap_annotate.reading.verdict import Choice, Jury, Verdict
from infmap_annotate.results.agreement import cohen_kappa, fleiss_kappa, share_with_interval
from infmap_annotate.study.folder import Candidate, Study, now
from infmap_annotate.study.readers import Reader, readers
from infmap_train.data.output import json_ready

OWN = "own drawing"
DRAWN = "drawn before"

_PERSON_COLUMNS = ("name", "role", "decided", "drawn", "skipped", "undone", "median_s")
_Label = Callable[[Candidate], str]


def study_statistics(study: Study) -> dict[str, Any]:
    """Give all figures of a study as one JSON document.

    Kappas compare which mask was chosen; ``own drawing`` is one answer whoever drew, as is each
    model. Figures of two readers are over the radiographs that both decided.
    """
    jury = Jury(study)
    people = readers(study)
    verdicts = jury.verdicts()
    choices = jury.choices("first")
    label = labels(study)
    stages = {}
    for stage in (1, 2):
        numbers = {picture.id for picture in study.pictures() if picture.stage == stage}
        if numbers:
            stages[str(stage)] = _stage(
                jury,
                [reader for reader in people if reader.role == "first"],
                len(numbers),
                {n: v for n, v in verdicts.items() if n in numbers},
                {n: c for n, c in choices.items() if n in numbers},
                label,
            )
    document = {
        "generated_at": now(),
        "made_at": study.fact("made_at"),
        "rules": study.fact("rules"),
        "readers": [_person(study, reader) for reader in people if reader.role != "owner"],
        "stages": stages,
    }
    return dict(json_ready(document))


def labels(study: Study) -> _Label:
    """Name masks in figures by their makers; readers' drawings have one name."""
    models = {row["id"]: row["name"] for row in study.query("SELECT * FROM model")}

    def label(candidate: Candidate) -> str:
        if candidate.model_id is not None:
            return str(models[candidate.model_id])
        return OWN if candidate.kind == "reader" else DRAWN

    return label


def page_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """The same document as tables, for the page and the terminal.

    Returns
    -------
    dict
        ``title``, ``generated_at`` and ``tables``, each with ``title``, ``note``, ``columns`` and ``rows``.
    """
    tables = [
        _table(
            "Readers",
            ["reader", "role", "decided", "own drawings", "skipped", "taken back", "median s"],
            [[p[key] for key in _PERSON_COLUMNS] for p in document["readers"]],
        )
    ]
    for stage, figures in document["stages"].items():
        tables += _stage_tables(
            f"Stage {'I' * int(stage)}", figures, document["rules"]["dice_bound"]
        )
    return {"title": "Agreement", "generated_at": document["generated_at"], "tables": tables}


def _person(study: Study, reader: Reader) -> dict[str, Any]:
    standing = study.query("SELECT * FROM standing WHERE reader_id = ?", reader.id)
    latest = {row["picture_id"]: row["kind"] for row in standing}
    kinds = Counter(latest.values())
    ((undone,),) = study.query(
        "SELECT count(*) FROM decision WHERE kind = 'undo' AND reader_id = ?", reader.id
    )
    times = [row["elapsed_ms"] / 1000 for row in standing if row["kind"] in ("pick", "draw")]
    return {
        "name": reader.name,
        "role": reader.role,
        "revoked": reader.revoked_at is not None,
        "decided": kinds["pick"] + kinds["draw"],
        "drawn": kinds["draw"],
        "skipped": kinds["skip"],
        "undone": undone,
        "median_s": statistics.median(times) if times else math.nan,
    }


def _stage(
    jury: Jury,
    first: Sequence[Reader],
    pictures: int,
    verdicts: Mapping[int, Verdict],
    choices: Mapping[int, Mapping[int, Choice]],
    label: _Label,
) -> dict[str, Any]:
    settled = Counter(verdict.by for verdict in verdicts.values())
    settled["open"] += pictures - len(verdicts)
    final = Counter(label(v.candidate) for v in verdicts.values() if v.candidate is not None)
    by_all = [
        [label(made[reader.id].candidate) for reader in first]
        for made in choices.values()
        if all(reader.id in made for reader in first)
    ]
    return {
        "pictures": pictures,
        "settled": dict(settled),
        "final": _chosen(final),
        "readers": {
            reader.name: _chosen(
                Counter(label(c[reader.id].candidate) for c in choices.values() if reader.id in c)
            )
            for reader in first
        },
        "pairs": [_pair(jury, a, b, choices, label) for a, b in itertools.combinations(first, 2)],
        "fleiss": {"readers": len(first), "pictures": len(by_all), "kappa": fleiss_kappa(by_all)},
    }


def _chosen(masks: Counter[str]) -> dict[str, Any]:
    """Masks by their makers, and how often a machine's was preferred to the one drawn before."""
    machine, drawn = masks.total() - masks[OWN] - masks[DRAWN], masks[DRAWN]
    share, low, high = share_with_interval(machine, machine + drawn)
    return {
        "masks": dict(masks),
        "machine_over_drawn": {
            "machine": machine, "drawn": drawn, "share": share, "low": low, "high": high,
        },
    }  # fmt: skip


def _pair(
    jury: Jury, a: Reader, b: Reader, choices: Mapping[int, Mapping[int, Choice]], label: _Label
) -> dict[str, Any]:
    both = [
        (c[a.id].candidate, c[b.id].candidate) for c in choices.values() if {a.id, b.id} <= set(c)
    ]
    dices = [jury.dice(*pair) for pair in both]
    return {
        "readers": [a.name, b.name],
        "pictures": len(both),
        "same_mask": sum(x.sha256 == y.sha256 for x, y in both),
        "cohen_kappa": cohen_kappa([label(x) for x, _ in both], [label(y) for _, y in both]),
        "dice_mean": statistics.fmean(dices) if dices else math.nan,
        "dice_min": min(dices, default=math.nan),
    }


def _stage_tables(title: str, figures: Mapping[str, Any], bound: float) -> list[dict[str, Any]]:
    fleiss = figures["fleiss"]
    chosen = [("final masks", figures["final"]), *figures["readers"].items()]
    made_by = sorted({name for _, entry in chosen for name in entry["masks"]})
    tables = [
        _table(
            f"{title}: radiographs",
            ["settled by", "radiographs"],
            [[by, count] for by, count in figures["settled"].items() if count],
            f"Of {figures['pictures']}. Different masks count as alike from a Dice of {bound:g} on.",
        ),
        _table(
            f"{title}: agreement of two readers",
            ["readers", "radiographs", "same mask", "Cohen's kappa", "mean Dice", "lowest Dice"],
            [
                [
                    " and ".join(pair["readers"]), pair["pictures"], pair["same_mask"],
                    pair["cohen_kappa"], pair["dice_mean"], pair["dice_min"],
                ]
                for pair in figures["pairs"]
            ],
            f"Fleiss' kappa of all {fleiss['readers']} readers over {fleiss['pictures']} radiographs: "
            + (f"{fleiss['kappa']:.3f}." if fleiss["kappa"] is not None else "none yet."),
        ),
        _table(
            f"{title}: whose masks were chosen",
            ["reader", *made_by],
            [[who, *(entry["masks"].get(name, 0) for name in made_by)] for who, entry in chosen],
        ),
    ]  # fmt: skip
    if title == "Stage I":
        tables.append(
            _table(
                f"{title}: the machine's mask against the one drawn before",
                ["reader", "machine's", "drawn", "machine's share", "from", "to"],
                [[who, *entry["machine_over_drawn"].values()] for who, entry in chosen],
                "With Wilson's 95 % interval. The paper's doctors took the machine's in three of five.",
            )
        )  # fmt: skip
    return tables


def _table(
    title: str, columns: list[str], rows: list[list[Any]], note: str | None = None
) -> dict[str, Any]:
    return {"title": title, "note": note, "columns": columns, "rows": rows}
