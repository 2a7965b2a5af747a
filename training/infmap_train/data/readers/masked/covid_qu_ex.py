"""The infection part of COVID-QU-Ex, as on Kaggle (anasmohammedtahir/covidqu).

::

    Infection Segmentation Data/{Train,Val,Test}/{COVID-19,Non-COVID,Normal}/{images,infection masks,lung masks}
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from infmap_train.data.dataset import COVID, NORMAL, OTHER, Sample
from infmap_train.data.problems import Problem, refuse
from infmap_train.data.readers.reader import Reader, by_stem, make_sample, repeated

_KINDS = {"covid-19": COVID, "normal": NORMAL, "non-covid": OTHER}


def _read(_folder: Path, marks: Sequence[Path]) -> list[Sample]:
    """Take its three parts together: they were not drawn by patient.

    Other pneumonia has an empty infection mask there, which says "no COVID-19" and not "healthy lungs".
    """
    samples: list[Sample] = []
    problems: list[Problem] = []
    for masks_folder in marks:
        kind = _KINDS.get(masks_folder.parent.name.lower())
        if kind is None:
            continue
        images = by_stem(masks_folder.parent / "images")
        masks = by_stem(masks_folder)
        lungs = by_stem(masks_folder.parent / "lung masks")
        for stem, image in images.items():
            mask = masks.get(stem) if kind == COVID else None
            if mask is None and kind == COVID:
                problems.append(Problem(f"has no mask in {masks_folder}", image.name))
            else:
                samples.append(
                    make_sample(
                        *("quex", stem, image, kind), infection_mask=mask, lung_mask=lungs.get(stem)
                    )
                )
    again = repeated(samples, "pass the folder 'Infection Segmentation Data' alone")
    refuse([*problems, *again], samples)
    return samples


READER = Reader(name="covid-qu-ex", title="COVID-QU-Ex", mark="infection masks", read=_read)
