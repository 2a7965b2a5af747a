"""Public data sets as they lie on disk after unpacking: QaTa-COV19, COVID-QU-Ex, and the plain one.

Layouts as on Kaggle (aysendegerli/qatacov19-dataset, anasmohammedtahir/covidqu)::

    QaTa-COV19-v1/{Images,Ground-truths}                       mask_NAME.png for NAME.png
    QaTa-COV19-v2/{Train Set,Test Set}/{Images,Ground-truths}
    Infection Segmentation Data/{Train,Val,Test}/{COVID-19,Normal}/{images,infection masks,lung masks}
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from infmap_kit.errors import TrainingError
from infmap_kit.imaging.files import find_pictures
from infmap_kit.model.files import shortened
from infmap_kit.model.spec import Anatomy
from infmap_kit.progress import Progress, no_progress
from infmap_train.data.dataset import (
    LUNG_MASKS,
    Pictures,
    Sample,
    UnfitData,
    load,
    read_index,
    refuse,
    too_few_groups,
)

_log = logging.getLogger(__name__)

_QATA_MASKS = "Ground-truths"
_QUEX_MASKS = "infection masks"
_QUEX_LUNGS = "lung masks"
# Deeper than either archive nests its folders.
_DEPTH = 5


def read_dataset(folder: Path) -> list[Sample]:
    """Read a data set of any known layout.

    Raises
    ------
    TrainingError
        When the layout is none of the three, or naming every radiograph and mask without its
        counterpart, all at once.
    """
    if (folder / "index.csv").is_file():
        return read_index(folder)
    if next(_folders_named(folder, _QATA_MASKS), None):
        return read_qata(folder)
    if next(_folders_named(folder, _QUEX_MASKS), None):
        return read_covid_qu_ex(folder)
    raise TrainingError(
        f"{folder} is no known data set: expected index.csv, {_QATA_MASKS}/ beside Images/ "
        f"(QaTa-COV19), or '{_QUEX_MASKS}'/ beside images/ (COVID-QU-Ex)"
    )


def open_dataset(
    folder: Path,
    *,
    folds: int,
    anatomy: Anatomy = Anatomy.INFECTION,
    progress: Progress = no_progress,
) -> Pictures:
    """Read, check and decode a data set to train on.

    Parameters
    ----------
    folder
        In any layout that ``read_dataset`` knows.
    folds
        In how many parts it will be split.
    anatomy
        Whose masks are decoded.
    progress
        Called after every radiograph.

    Raises
    ------
    UnfitData
        Naming all problems of all kinds at once.
    """
    problems: list[str] = []
    try:
        samples = read_dataset(folder)
    except UnfitData as error:
        problems += error.problems
        samples = error.usable
    problems += too_few_groups(samples, folds)
    if not any(sample.has_truth(anatomy) for sample in samples):
        problems.append(
            f"no radiograph has a mask of the {anatomy}: expected {LUNG_MASKS}/NAME.png beside "
            f"index.csv, or '{_QUEX_LUNGS}'/ beside images/ (COVID-QU-Ex)"
        )
    try:
        pictures = load(samples, anatomy=anatomy, progress=progress)
    except UnfitData as error:
        problems += error.problems
    refuse(problems)
    if pictures.doubts:
        lines = "\n  ".join(pictures.doubts)
        _log.info("serving would refuse these radiographs or warn of them:\n  %s", lines)
    if pictures.notes:
        _log.info("of the masks:\n  %s", "\n  ".join(pictures.notes))
    return pictures


def read_qata(folder: Path) -> list[Sample]:
    """Read QaTa-COV19, version 1 or 2: COVID-19 radiographs alone.

    Version 1 has radiographs without a mask; they cannot be trained on and are left out, with a
    line in the log that says how many.
    """
    samples: list[Sample] = []
    problems: list[str] = []
    without = 0
    for masks in _folders_named(folder, _QATA_MASKS):
        images = _by_stem(masks.parent / "Images")
        for mask in find_pictures([masks]):
            stem = mask.stem.removeprefix("mask_")
            image = images.pop(stem, None)
            if image is None:
                problems.append(f"{mask} has no radiograph {stem} in {masks.parent / 'Images'}")
            else:
                samples.append(_sample("qata", stem, image, mask))
        without += len(images)
    if without:
        _log.info("%d radiographs of %s have no mask and are left out", without, folder)
    refuse([*problems, *_repeated(samples, "pass one version of QaTa-COV19, not both")], samples)
    return samples


def read_covid_qu_ex(folder: Path) -> list[Sample]:
    """Read the infection part of COVID-QU-Ex: COVID-19 and normal, its three parts together.

    Its radiographs of other pneumonia are left out, as the paper's control group is normal (II-A).
    Its own parts are not kept: they were not drawn by patient.
    """
    samples: list[Sample] = []
    problems: list[str] = []
    for masks_folder in _folders_named(folder, _QUEX_MASKS):
        kind = masks_folder.parent.name.lower()
        if kind not in ("covid-19", "normal"):
            continue
        images = _by_stem(masks_folder.parent / "images")
        masks = _by_stem(masks_folder)
        lungs = _by_stem(masks_folder.parent / _QUEX_LUNGS)
        for stem, image in images.items():
            mask = masks.get(stem) if kind == "covid-19" else None
            if mask is None and kind == "covid-19":
                problems.append(f"{image} has no mask in {masks_folder}")
            else:
                samples.append(_sample("quex", stem, image, mask, lungs.get(stem)))
    refuse(
        [*problems, *_repeated(samples, "pass the folder 'Infection Segmentation Data' alone")],
        samples,
    )
    return samples


def read_normals(folder: Path) -> list[Sample]:
    """Take every picture in a folder as a normal radiograph, DICOM too.

    Its source is the folder's name; of patients nothing is known but what BIMCV's file names say.
    """
    source = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-") or "normal"
    files = [path for path in find_pictures([folder]) if path.is_file()]
    if not files:
        raise TrainingError(f"expected radiographs in {folder}, found none")
    taken = Counter(path.stem for path in files)
    samples = []
    for path in files:
        # Files of one stem are distinguished by their folders.
        parts = path.relative_to(folder).with_suffix("").parts
        stem = path.stem if taken[path.stem] == 1 else "-".join(parts)
        samples.append(_sample(source, stem, path, None))
    return samples


def _sample(
    source: str, stem: str, image: Path, infection: Path | None, lungs: Path | None = None
) -> Sample:
    """Make a sample of its files; with an infection mask it is COVID-19, without one normal."""
    plain = re.sub(r"[^A-Za-z0-9.-]+", "-", stem)
    # BIMCV names a file by subject and session: sub-S03045_ses-E06111_run-1_bp-chest_vp-ap_dx.
    subject = re.match(r"sub-[A-Za-z0-9]+", stem)
    # Room for a number, where two are called so, and for a suffix.
    name = shortened(f"{source}_{plain}", room_bytes=24)
    return Sample(
        name=name,
        image=image,
        covid=infection is not None,
        group=subject[0] if subject else name,
        source=source,
        infection_mask=infection,
        lung_mask=lungs,
    )


def _repeated(samples: Iterable[Sample], fix: str) -> list[str]:
    counts = Counter(sample.name for sample in samples)
    return [f"{name} is there {count} times: {fix}" for name, count in counts.items() if count > 1]


def _folders_named(folder: Path, name: str, depth: int = _DEPTH) -> Iterator[Path]:
    if not depth or not folder.is_dir():
        return
    for inner in sorted(path for path in folder.iterdir() if path.is_dir()):
        if inner.name == name:
            yield inner
        else:
            yield from _folders_named(inner, name, depth - 1)


def _by_stem(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in find_pictures([folder]) if path.is_file()}
