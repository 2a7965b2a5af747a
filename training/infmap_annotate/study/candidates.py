"""Adding a model's masks to a study, all of them or none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infmap_annotate.study.collection import read_mask, refuse
from infmap_annotate.study.folder import MOST_CANDIDATES, Picture, Study, now
from infmap_kit.errors import StudyError
from infmap_kit.model.files import sha256_of


def pictures_of_stage(study: Study, stage: int) -> list[Picture]:
    """The radiographs that are annotated in a stage.

    Raises
    ------
    StudyError
        When there are none.
    """
    pictures = [picture for picture in study.pictures() if picture.stage == stage]
    if not pictures:
        raise StudyError(f"the study has no radiographs in stage {stage}")
    return pictures


def check_can_join(study: Study, name: str, stage: int) -> None:
    """Refuse a model that comes twice, too late, or as one too many.

    Raises
    ------
    StudyError
        Saying which of them.
    """
    names = [row["name"] for row in study.query("SELECT name FROM model WHERE stage = ?", stage)]
    if name in names:
        raise StudyError(f"stage {stage} has masks of {name!r} already: take another --name")
    ((decisions,),) = study.query("SELECT count(*) FROM decision WHERE stage = ?", stage)
    if decisions:
        raise StudyError(
            f"{decisions} decisions were made in stage {stage} without {name!r}: all readers must see "
            "the same masks, so that a model joins before the first decision, or a new study"
        )
    room = MOST_CANDIDATES - (stage == 1)
    if len(names) >= room:
        raise StudyError(
            f"expected at most {room} models in stage {stage}, found {', '.join(names)} there already"
        )


def add_model(
    study: Study,
    name: str,
    stage: int,
    masks: Mapping[int, NDArray[np.bool_]],
    record: Mapping[str, Any],
) -> None:
    """Add a model's masks.

    Parameters
    ----------
    name
        Its name in the statistics; readers never see it.
    masks
        (H, W) bool, by the radiographs' numbers.
    record
        The model's origin, for the data card.

    Raises
    ------
    StudyError
        When the model cannot join.
    """
    check_can_join(study, name, stage)
    rows = [(number, *study.add_mask(mask)) for number, mask in masks.items()]
    with study.writing() as sql:
        check_can_join(study, name, stage)
        model = sql.execute(
            "INSERT INTO model (name, stage, added_at, record) VALUES (?, ?, ?, ?)",
            (name, stage, now(), json.dumps(record)),
        ).lastrowid
        sql.executemany(
            "INSERT INTO candidate (picture_id, kind, model_id, file, sha256) "
            "VALUES (?, 'model', ?, ?, ?)",
            [(number, model, file, sha) for number, file, sha in rows],
        )


def add_mask_folder(study: Study, name: str, stage: int, folder: Path) -> int:
    """Add masks that were made elsewhere: ``folder/NAME.png`` for each radiograph of a stage.

    Returns
    -------
    int
        Number of masks.

    Raises
    ------
    StudyError
        Naming every mask that is missing, damaged or of another size than its radiograph, at once.
    """
    check_can_join(study, name, stage)
    masks: dict[int, NDArray[np.bool_]] = {}
    files: dict[str, str] = {}
    problems: list[str] = []
    for picture in pictures_of_stage(study, stage):
        path = folder / f"{picture.name}.png"
        mask = read_mask(path, picture.name, picture.width, picture.height, problems)
        if mask is not None:
            masks[picture.id] = mask
            files[picture.name] = sha256_of(path)
    refuse(problems)
    add_model(study, name, stage, masks, {"made_by": "masks from a folder", "sha256": files})
    return len(masks)
