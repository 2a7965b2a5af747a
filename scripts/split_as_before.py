"""Write RUN/split.json for a set built of two folders: what was held back of the first stays held back.

    infmap-train dataset build SET --data FIRST --data SECOND
    .venv/bin/python scripts/split_as_before.py FIRST SECOND SET RUN
    infmap-train fit --data SET --run RUN ...

The fifth of FIRST that ``fit`` holds back by itself (fold 0 of 5, seed 0) is held back. A patient group that
stands in both folders is one patient and goes where FIRST put it; of SECOND's other groups a fifth is held back
likewise. Groups as SET has them, where such as share a picture have become one, are held back whole.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from infmap_kit.model.files import write_json
from infmap_train.data.dataset import Sample, read_index, split_by_group
from infmap_train.run_folder import SPLIT

_FOLDS, _SEED = 5, 0


def main(first: Path, second: Path, built: Path, run: Path) -> None:
    """Part ``built``, and write what was decided below ``run``."""
    old, new, samples = (_trainable(folder) for folder in (first, second, built))
    _, held_back = split_by_group(old, folds=_FOLDS, seed=_SEED)[0]
    groups = {old[row].group for row in held_back}
    known = {sample.group for sample in old}
    groups |= _fifth([sample for sample in new if sample.group not in known])
    # By name, since the built set has groups of its own.
    names = {sample.name for sample in (*old, *new) if sample.group in groups}
    whole = {sample.group for sample in samples if sample.name in names}
    parts: dict[str, list[str]] = {"train": [], "validation": [], "held_back": []}
    for sample in samples:
        parts["held_back" if sample.group in whole else "train"].append(sample.name)
    run.mkdir(parents=True, exist_ok=True)
    write_json(run / SPLIT, parts)
    print({part: len(chosen) for part, chosen in parts.items()})


def _trainable(folder: Path) -> list[Sample]:
    return [sample for sample in read_index(folder) if sample.kind != "other"]


def _fifth(samples: Sequence[Sample]) -> set[str]:
    """Groups of a fifth, by source; ``split_by_group`` wants normal radiographs, which may lack here."""
    groups = [sample.group for sample in samples]
    splitter = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=_SEED)
    _, rows = next(
        splitter.split(np.zeros(len(samples)), [sample.source for sample in samples], groups)
    )
    return {groups[row] for row in rows}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:5]))
