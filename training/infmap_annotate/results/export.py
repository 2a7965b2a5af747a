"""A study's result as a training set that `infmap-train fit` takes as it is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from infmap_annotate.reading.verdict import Jury, Verdict
from infmap_annotate.results.data_card import data_card
from infmap_annotate.results.statistics import labels, study_statistics
from infmap_annotate.study.folder import Picture, Study
from infmap_annotate.study.masks import decode_mask
from infmap_kit.errors import StudyError
from infmap_kit.model.files import require_new_folder, sha256_of
from infmap_kit.progress import Progress, no_progress
from infmap_train.data.output import new_folder, write_csv

INDEX = "index.csv"
SUMS = "SHA256SUMS"
AS_DRAWN = "drawn before the study"

_WHY_NOT = {"open": "not all readers have decided", "disputed": "waits for a third reader"}


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
        decisions.csv        all decisions, undone ones too
        DATA_CARD.md         readers, counts, agreement, models
        SHA256SUMS           hashes of all files, for `sha256sum --check`

    Parameters
    ----------
    folder
        The new folder.
    stage
        One stage alone; both by default. Normal radiographs are always in it.
    drawn
        Stage I with the masks that were drawn before the study, whatever was decided, to train the
        networks of stage I on.

    Returns
    -------
    dict
        Numbers of radiographs: ``covid``, ``normal`` and ``left_out``.

    Raises
    ------
    StudyError
        When nothing is settled yet, a radiograph or mask was changed, or the folder cannot be written.
    """
    require_new_folder(folder, StudyError)
    stage = 1 if drawn else stage
    verdicts = _as_drawn(study) if drawn else Jury(study).verdicts()
    pictures = [p for p in study.pictures() if p.stage is None or stage is None or p.stage == stage]
    settled = {
        number: verdict for number, verdict in verdicts.items() if verdict.candidate is not None
    }
    if not any(picture.id in settled for picture in pictures):
        raise StudyError("no radiograph has a final mask yet: see `infmap-annotate stats`")
    try:
        with new_folder(folder) as beside:
            for name in ("images", "control", "infection_masks"):
                (beside / name).mkdir(parents=True)
            return _write(study, beside, pictures, settled, verdicts, progress)
    except OSError as error:
        raise StudyError(f"cannot write {folder}: {error.strerror}") from error


def _as_drawn(study: Study) -> dict[int, Verdict]:
    return {
        number: Verdict(AS_DRAWN, mask, ())
        for number, masks in study.candidates().items()
        for mask in masks
        if mask.kind == "drawn"
    }


def _write(
    study: Study,
    folder: Path,
    pictures: Sequence[Picture],
    settled: Mapping[int, Verdict],
    verdicts: Mapping[int, Verdict],
    progress: Progress,
) -> dict[str, Any]:
    label = labels(study)
    rows, left_out = [], []
    for done, picture in enumerate(pictures, start=1):
        progress("copying radiographs", done, len(pictures))
        verdict = settled.get(picture.id)
        if picture.stage is not None and verdict is None:
            by = verdicts[picture.id].by if picture.id in verdicts else "open"
            left_out.append((picture.name, picture.stage, _WHY_NOT[by]))
            continue
        suffix = Path(picture.file).suffix.lower()
        file = f"{'control' if picture.stage is None else 'images'}/{picture.name}{suffix}"
        (folder / file).write_bytes(study.read_image(picture))
        kind = "normal" if picture.stage is None else "covid"
        settling: tuple[object, ...] = (None, None, None)
        if verdict is not None and verdict.candidate is not None:
            final = verdict.candidate
            mask = decode_mask(study.read_mask(final.file, final.sha256)).astype(np.uint8) * 255
            png = cv2.imencode(".png", mask)[1].tobytes()
            (folder / "infection_masks" / f"{picture.name}.png").write_bytes(png)
            settling = (picture.stage, label(final), verdict.by)
        rows.append((picture.name, file, kind, picture.patient_group, *settling))
    write_csv(
        folder / INDEX, ("name", "file", "class", "group", "stage", "mask_by", "settled_by"), rows
    )
    write_csv(folder / "left_out.csv", ("name", "stage", "reason"), left_out)
    decisions = list(_decisions(study))
    columns = list(decisions[0]) if decisions else ["decision"]
    write_csv(folder / "decisions.csv", columns, (row.values() for row in decisions))
    kinds = Counter(row[2] for row in rows)
    report = {"covid": kinds["covid"], "normal": kinds["normal"], "left_out": len(left_out)}
    models = [
        {**dict(row), "record": json.loads(row["record"])}
        for row in study.query("SELECT * FROM model ORDER BY stage, id")
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


def _decisions(study: Study) -> Iterable[dict[str, Any]]:
    """Every decision as it was made, with names for numbers."""
    label = labels(study)
    candidates = {c.id: c for masks in study.candidates().values() for c in masks}

    def named(number: int | None) -> str:
        return label(candidates[number]) if number is not None else ""

    rows = study.query(
        "SELECT decision.*, reader.name AS reader, picture.name AS picture FROM decision "
        "JOIN reader ON reader.id = reader_id JOIN picture ON picture.id = picture_id "
        "ORDER BY decision.id"
    )
    for row in rows:
        yield {
            "decision": row["id"],
            **{key: row[key] for key in ("reader", "picture", "stage", "kind", "slot")},
            "mask_by": named(row["candidate_id"]),
            "mask_sha256": candidates[row["candidate_id"]].sha256 if row["candidate_id"] else "",
            "drawn_from": named(row["begun_from_id"]),
            "shown": " | ".join(named(number) for number in json.loads(row["order_shown"])),
            **{
                key: row[key] for key in ("started_at", "decided_at", "elapsed_ms", "tab", "undoes")
            },
        }
