"""Fit what chests have in common, and measure which pictures of other things are noticed.

    .venv/bin/python scripts/fit_kind.py DATA ... [--output FILE] [--components N]

Each DATA is a folder as `infmap-train` reads it. Patients are parted as `scripts/fit_laterality.py` does: four
parts of six give the components, one sets the threshold, one is measured; beside it turned and cropped chests,
drawings, scikit-image's photographs, and what pydicom-data brings. The file holds the mean chest and components
of 32x32.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.command import console
from infmap_kit.imaging.looks import kind
from infmap_kit.imaging.looks.chest import DOUBTFUL_BELOW, NEGATIVE_BELOW, chest_likeness
from infmap_kit.imaging.looks.kind import Kind, kind_view
from infmap_kit.imaging.looks.laterality import network_view
from infmap_kit.imaging.readers import decode_file
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.report.table import Table
from infmap_train.data.dataset import read_index, split_by_group

Pictures = Sequence[NDArray[np.uint8]]
_STRANGE = 0.01
_SPARSE = 4
_OTHERS = {
    "chest (RG1)": "RG1_UNCR",
    "ankle (RG3)": "RG3_UNCR",
    "MR": "MR2_UNCR",
    "CT": "eCT_Supplemental",
    "ultrasound": "US1_UNCR",
    "a photographed face": "OT-PAL-8-face",
    "film of a test object (mlut_18)": "mlut_18",
}


def fit(
    views: NDArray[np.float32], components: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and principal components of (N, 1024), each with its mirror image; in half precision, as stored."""
    square = views.reshape(-1, 32, 32)
    both = np.concatenate([square, square[:, :, ::-1]]).reshape(-1, views.shape[1])
    mean = both.mean(0)
    _, _, rows = np.linalg.svd(both - mean, full_matrices=False)
    return _halved(mean), _halved(rows[:components])


def _halved(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values.astype(np.float16).astype(np.float32)


def changed(pictures: Pictures) -> Iterator[tuple[str, Pictures]]:
    """Chests as nobody should ask about them."""
    yield "chests turned by 90 degrees", [np.rot90(one) for one in pictures]
    yield "chests upside down", [one[::-1] for one in pictures]
    yield (
        "middle quarter of chests",
        [
            one[one.shape[0] // 4 : -one.shape[0] // 4, one.shape[1] // 4 : -one.shape[1] // 4]
            for one in pictures
        ],
    )
    yield "negatives of chests", [255 - one for one in pictures]


def brought() -> Iterator[tuple[str, Pictures]]:
    """Drawings, and pictures that packages bring."""
    yield (
        "synthetic chests",
        [synthetic_radiograph(seed, height=512, width=448).radiograph.pixels for seed in range(12)],
    )
    import data_store
    import pydicom
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    read = (
        cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted(folder.glob("*.[pj][np]g"))
    )
    yield "photographs (scikit-image)", [one.astype(np.uint8) for one in read if one is not None]
    for title, name in _OTHERS.items():
        dataset = pydicom.dcmread(
            Path(data_store.__file__).parent / "data" / f"{name}.dcm", force=True
        )
        if "TransferSyntaxUID" not in dataset.file_meta:
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
        values = dataset.pixel_array.astype(np.float64)
        values = values[len(values) // 2] if values.ndim == 3 else values
        levels = 255 * (values - values.min()) / max(float(np.ptp(values)), 1.0)
        inverse = dataset.PhotometricInterpretation == "MONOCHROME1"
        yield title, [(255 - levels if inverse else levels).astype(np.uint8)]


def main(folders: Sequence[Path], output: Path, components: int) -> None:
    """Fit, set the threshold, write the file, and print the table."""
    samples = [one for folder in folders for one in read_index(folder, to_train=False)]
    pixels = [decode_file(sample.image).pixels for sample in samples]
    held_back, choosing = (rows for _, rows in split_by_group(samples, folds=6, seed=0)[:2])
    aside = {*held_back.tolist(), *choosing.tolist()}
    views = np.stack([kind_view(network_view(one)) for one in pixels])
    mean, rows = fit(views[[row for row in range(len(samples)) if row not in aside]], components)
    fitted = Kind(mean, rows, 1.0)
    left = np.array([fitted.left_over(views[row]) for row in choosing])
    strange_above = float(np.quantile(left, 1 - _STRANGE))
    np.savez_compressed(
        output,
        mean=mean.astype(np.float16),
        components=rows.astype(np.float16),
        strange_above=strange_above,
    )
    kinds: dict[str, Pictures] = {
        f"chests, held back: {source}": [
            pixels[row] for row in held_back if source in ("all", samples[row].kind)
        ]
        for source in ("all", "covid", "normal", "other")
    }
    kinds |= dict(changed([pixels[row] for row in held_back[::_SPARSE]]))
    kinds |= dict(brought())
    table = []
    for title, pictures in kinds.items():
        like = np.array([chest_likeness(one) for one in pictures])
        strange = np.array(
            [fitted.left_over(kind_view(network_view(one))) / strange_above for one in pictures]
        )
        negative = like < NEGATIVE_BELOW
        warned = ~negative & ((like < DOUBTFUL_BELOW) | (strange > 1))
        both = ~negative & (like < DOUBTFUL_BELOW) & (strange > 1)
        shares = [f"{100 * one.mean():.1f}" for one in (negative, warned, both)]
        table.append((title, str(len(pictures)), *shares, f"{np.median(strange):.2f}"))
    columns = ("kind", "pictures", "refused as negative %", "warned of %", "by both measures %")
    console.print(Table("", (*columns, "strangeness, median"), table))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, default=kind.COMPONENTS)
    parser.add_argument("--components", type=int, default=40)
    given = parser.parse_args()
    main(given.data, given.output, given.components)
