"""What came of a study, as a training set that `infmap-train fit` takes as it is."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from infmap_annotate.reading.verdict import Jury, Verdict
from infmap_annotate.results.data_card import data_card
from infmap_annotate.results.statistics import labels, study_statistics
from infmap_annotate.study.folder import MASKS, Candidate, Picture, Study
from infmap_annotate.study.masks import decode_mask
from infmap_kit.errors import StudyError
from infmap_kit.model.files import sha256_of
from infmap_kit.progress import Progress, no_progress

INDEX = "index.csv"
SUMS = "SHA256SUMS"
AS_DRAWN = "drawn before the study"

_WHY_NOT = {
    "open": "not all readers have decided",
    "disputed": "waits for a third reader",
}


def export_set(
    study: Study,
    folder: Path,
    *,
    stage: int | None = None,
    drawn: bool = False,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Write the radiographs with their final masks; the folder appears whole or not at all.

    ::

        index.csv            name, file, class, group; stage, who made the mask, how it was settled
        images/ control/     the radiographs, byte for byte
        infection_masks/     NAME.png, 0 or 255, at the radiograph's size
        left_out.csv         radiographs without a final mask, and why
        decisions.csv        everything that was decided, undone ones too
        DATA_CARD.md         who, how many, agreement, models
        SHA256SUMS           of every file, for `sha256sum --check`

    Parameters
    ----------
    folder
        New.
    stage
        One stage alone; both by default. Normal radiographs are always in it.
    drawn
        Stage I with the masks that were drawn before the study, whatever was decided: what the networks
        of stage I are trained on.

    Returns
    -------
    dict
        ``covid``, ``normal`` and ``left_out``: how many.

    Raises
    ------
    StudyError
        When nothing is settled yet, a radiograph or mask was changed, or the folder cannot be written.
    """
    if folder.exists() and any(folder.iterdir()):
        raise StudyError(f"{folder} is not empty: name a new folder, or remove it")
    stage = 1 if drawn else stage
    verdicts = _as_drawn(study) if drawn else Jury(study).verdicts()
    wanted = [p for p in study.pictures() if p.stage is None or stage is None or p.stage == stage]
    settled = {
        number: verdict for number, verdict in verdicts.items() if verdict.candidate is not None
    }
    if not any(picture.id in settled for picture in wanted):
        raise StudyError("no radiograph has a final mask yet: see `infmap-annotate stats`")
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        for name in ("images", "control", "infection_masks"):
            (beside / name).mkdir(parents=True)
        report = _write(study, beside, wanted, settled, verdicts, progress)
        if folder.exists():
            folder.rmdir()
        beside.replace(folder)
    except OSError as error:
        raise StudyError(f"cannot write {folder}: {error.strerror}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return report


def _as_drawn(study: Study) -> dict[int, Verdict]:
    return {
        number: Verdict(AS_DRAWN, mask, ())
        for number, found in study.candidates().items()
        for mask in found
        if mask.kind == "drawn"
    }


def _write(
    study: Study,
    folder: Path,
    wanted: Iterable[Picture],
    settled: Mapping[int, Verdict],
    verdicts: Mapping[int, Verdict],
    progress: Progress,
) -> dict[str, Any]:
    label = labels(study)
    rows, left_out = [], []
    wanted = list(wanted)
    for done, picture in enumerate(wanted, start=1):
        progress("copying radiographs", done, len(wanted))
        verdict = settled.get(picture.id)
        if picture.stage is not None and verdict is None:
            by = verdicts[picture.id].by if picture.id in verdicts else "open"
            left_out.append({"name": picture.name, "stage": picture.stage, "reason": _WHY_NOT[by]})
            continue
        suffix = Path(picture.file).suffix.lower()
        file = f"{'control' if picture.stage is None else 'images'}/{picture.name}{suffix}"
        _copy_image(study, picture, folder / file)
        row = {
            "name": picture.name,
            "file": file,
            "class": "normal" if picture.stage is None else "covid",
            "group": picture.patient_group,
        }
        if verdict is not None and verdict.candidate is not None:
            _write_mask(
                study, verdict.candidate, folder / "infection_masks" / f"{picture.name}.png"
            )
            row |= {
                "stage": str(picture.stage),
                "mask_by": label(verdict.candidate),
                "settled_by": verdict.by,
            }
        rows.append(row)
    _write_csv(
        folder / INDEX, ["name", "file", "class", "group", "stage", "mask_by", "settled_by"], rows
    )
    _write_csv(folder / "left_out.csv", ["name", "stage", "reason"], left_out)
    decisions = list(_decisions(study))
    columns = list(decisions[0]) if decisions else ["decision"]
    _write_csv(folder / "decisions.csv", columns, decisions)
    report = {
        "covid": sum(row["class"] == "covid" for row in rows),
        "normal": sum(row["class"] == "normal" for row in rows),
        "left_out": len(left_out),
    }
    models = [
        {**dict(row), "record": json.loads(row["record"])}
        for row in study.database.reading().execute("SELECT * FROM model ORDER BY stage, id")
    ]
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    card = data_card(
        study_statistics(study),
        report,
        models,
        as_drawn=any(verdict.by == AS_DRAWN for verdict in settled.values()),
        hashes={name: sha256_of(folder / name) for name in (INDEX, "decisions.csv")},
    )
    (folder / "DATA_CARD.md").write_text(card, encoding="utf-8")
    lines = [
        f"{sha256_of(path)}  {path.relative_to(folder).as_posix()}\n"
        for path in [*files, folder / "DATA_CARD.md"]
    ]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
    return report


def _copy_image(study: Study, picture: Picture, target: Path) -> None:
    source = study.image_path(picture)
    try:
        content = source.read_bytes()
    except OSError as error:
        raise StudyError(f"cannot read {source}: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != picture.sha256:
        raise StudyError(f"{source} was changed since the study was made: bring back the file")
    target.write_bytes(content)


def _write_mask(study: Study, candidate: Candidate, target: Path) -> None:
    source = study.folder / MASKS / candidate.file
    try:
        content = source.read_bytes()
    except OSError as error:
        raise StudyError(
            f"cannot read {source}: {error.strerror}; take it from a backup"
        ) from error
    if hashlib.sha256(content).hexdigest() != candidate.sha256:
        raise StudyError(f"{source} is damaged (its SHA-256 differs): take it from a backup")
    mask = decode_mask(content).astype(np.uint8) * 255
    target.write_bytes(cv2.imencode(".png", mask)[1].tobytes())


def _decisions(study: Study) -> Iterable[dict[str, Any]]:
    """Every decision as it was made, with names for numbers."""
    label = labels(study)
    candidates = {c.id: c for found in study.candidates().values() for c in found}

    def named(number: int | None) -> str:
        return label(candidates[number]) if number is not None else ""

    rows = study.database.reading().execute(
        "SELECT decision.*, reader.name AS reader, picture.name AS picture FROM decision "
        "JOIN reader ON reader.id = reader_id JOIN picture ON picture.id = picture_id "
        "ORDER BY decision.id"
    )
    for row in rows:
        yield {
            "decision": row["id"],
            "reader": row["reader"],
            "picture": row["picture"],
            "stage": row["stage"],
            "kind": row["kind"],
            "slot": row["slot"],
            "mask_by": named(row["candidate_id"]),
            "mask_sha256": candidates[row["candidate_id"]].sha256 if row["candidate_id"] else "",
            "drawn_from": named(row["begun_from_id"]),
            "shown": " | ".join(named(number) for number in json.loads(row["order_shown"])),
            "started_at": row["started_at"],
            "decided_at": row["decided_at"],
            "elapsed_ms": row["elapsed_ms"],
            "tab": row["tab"],
            "undoes": row["undoes"],
        }


def _write_csv(path: Path, columns: list[str], rows: Iterable[Mapping[str, Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
