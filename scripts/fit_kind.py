"""Fit what chests have in common, and measure which pictures of other things are noticed.

    .venv/bin/python scripts/fit_kind.py DATA ... [--output FILE] [--components N]

Each DATA is a folder as `infmap-train` reads it. Patients are parted as `scripts/fit_laterality.py` does: four
parts of six give the components, one sets the threshold, one is measured; beside it turned and cropped chests,
drawings, scikit-image's photographs, and what pydicom-data brings. The file holds the mean chest and components
of 32x32.

A second table says what a refusal would cost: how many chests, as they are and as they may be sent, and how
many other pictures lie beyond a bound in each of their four orientations.
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
_UNLIKE_BELOW = 0.3
_BOUNDS = (1.8, 2.2, 2.6, 3.0)
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


def sent(pixels: NDArray[np.uint8]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """A chest as it is, and as a careless or unlucky sender may cut, turn and show it."""
    height, width = pixels.shape
    yield "as they are", pixels
    for degrees in (20, 45):
        yield f"turned by {degrees} degrees", _turned(pixels, degrees)
    yield "upper half", pixels[: height // 2]
    yield "lower half", pixels[height // 2 :]
    yield "left half of the picture", pixels[:, : width // 2]
    yield "right half of the picture", pixels[:, width // 2 :]
    for percent in (20, 30):
        edge = height * percent // 100, width * percent // 100
        middle = np.s_[edge[0] : height - edge[0], edge[1] : width - edge[1]]
        yield f"black but for the middle {100 - 2 * percent} %", _within(pixels, middle, 0)
    edge = height * 15 // 100, width * 15 // 100
    middle = np.s_[edge[0] : height - edge[0], edge[1] : width - edge[1]]
    yield "white but for the middle 70 %", _within(pixels, middle, 255)
    yield "black at one side, 30 %", _within(pixels, np.s_[:, width * 30 // 100 :], 0)
    narrow = 3 * (pixels.astype(np.float32) - 80)
    yield "narrow window (85 of 255 levels)", np.clip(narrow, 0, 255).astype(np.uint8)
    grain = np.random.default_rng(0).normal(0, 60, pixels.shape)
    yield "noise (deviation of 60 levels)", np.clip(pixels + grain, 0, 255).astype(np.uint8)


def _turned(pixels: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    height, width = pixels.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(pixels, matrix, (width, height)).astype(np.uint8)


def _within(pixels: NDArray[np.uint8], part: tuple[slice, slice], level: int) -> NDArray[np.uint8]:
    shown = np.full_like(pixels, level)
    shown[part] = pixels[part]
    return shown


def least_strangeness(pixels: NDArray[np.uint8], fitted: Kind) -> float:
    """The least strangeness of a picture in its four orientations; 0 where it is like the drawing in one.

    A chest that lies on its side is a chest in one of them.
    """
    turned = [np.ascontiguousarray(np.rot90(pixels, quarter)) for quarter in range(4)]
    if chest_likeness(pixels) < NEGATIVE_BELOW or max(map(chest_likeness, turned)) >= _UNLIKE_BELOW:
        return 0.0
    left = min(fitted.left_over(kind_view(network_view(one))) for one in turned)
    return left / fitted.strange_above


def beyond_bounds(
    chests: Pictures, held_back: NDArray[np.bool_], others: dict[str, Pictures], fitted: Kind
) -> list[tuple[str, ...]]:
    """Rows: the greatest strangeness of a kind, and how many pictures lie beyond each bound."""
    strange: dict[str, list[float]] = {}
    for one in chests:
        for title, shown in sent(one):
            strange.setdefault(title, []).append(least_strangeness(shown, fitted))
    rows = []
    for title, values in strange.items():
        for part, chosen in (("", ~held_back), (", held back", held_back)):
            rows.append(_beyond(f"chests {title}{part}", np.array(values)[chosen]))
    for title, pictures in others.items():
        rows.append(_beyond(title, np.array([least_strangeness(one, fitted) for one in pictures])))
    return rows


def _beyond(title: str, strange: NDArray[np.float64]) -> tuple[str, ...]:
    beyond = [str(np.count_nonzero(strange > bound)) for bound in _BOUNDS]
    return (title, str(len(strange)), f"{strange.max():.2f}", *beyond)


def brought() -> Iterator[tuple[str, Pictures]]:
    """Drawings, and pictures that packages bring."""
    yield (
        "synthetic chests",
        [synthetic_radiograph(seed, height=512, width=448).radiograph.pixels for seed in range(12)],
    )
    noise = np.random.default_rng(0).integers(0, 256, (20, 512, 448)).astype(np.uint8)
    yield "white noise", list(noise)
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
    fitted = Kind(mean, rows, strange_above)
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
    others = dict(brought())
    kinds |= others
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
    is_held_back = np.isin(np.arange(len(samples)), held_back)
    bounds = beyond_bounds(pixels, is_held_back, others, fitted)
    beyond = (f"beyond {bound}" for bound in _BOUNDS)
    console.print(Table("", ("kind", "pictures", "greatest strangeness", *beyond), bounds))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, default=kind.COMPONENTS)
    parser.add_argument("--components", type=int, default=40)
    given = parser.parse_args()
    main(given.data, given.output, given.components)
