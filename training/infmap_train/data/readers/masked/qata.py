"""QaTa-COV19, version 1 or 2, as on Kaggle (aysendegerli/qatacov19-dataset): COVID-19 radiographs with masks.

::

    QaTa-COV19-v1/{Images,Ground-truths}                       mask_NAME.png for NAME.png
    QaTa-COV19-v2/{Train Set,Test Set}/{Images,Ground-truths}
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from infmap_kit.imaging.files import find_pictures
from infmap_train.data.dataset import COVID, Sample
from infmap_train.data.problems import Problem, refuse
from infmap_train.data.readers.reader import Reader, by_stem, make_sample, repeated

_log = logging.getLogger(__name__)


def _read(folder: Path, marks: Sequence[Path]) -> list[Sample]:
    """Take what has a mask; version 1 has radiographs without, whose number the log says."""
    samples: list[Sample] = []
    problems: list[Problem] = []
    without = 0
    for masks in marks:
        images = by_stem(masks.parent / "Images")
        for mask in find_pictures([masks]):
            stem = mask.stem.removeprefix("mask_")
            image = images.pop(stem, None)
            if image is None:
                problems.append(
                    Problem(f"has no radiograph in {masks.parent / 'Images'}", mask.name)
                )
            else:
                samples.append(make_sample("qata", stem, image, COVID, infection_mask=mask))
        without += len(images)
    if without:
        _log.info("%d radiographs of %s have no mask and are left out", without, folder)
    refuse([*problems, *repeated(samples, "pass one version of QaTa-COV19, not both")], samples)
    return samples


READER = Reader(name="qata", title="QaTa-COV19", mark="Ground-truths", read=_read)
