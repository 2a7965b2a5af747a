"""How many pictures of each kind a run's familiarity flags as unlike what its network learnt from.

    .venv/bin/python scripts/familiarity_figures.py RUN DATA [--files FOLDER ...]

DATA is what the run was trained on; RUN has its familiarity already (`infmap-train familiarity`). Held-back
radiographs are measured as they are, and turned, mirrored, negated, collimated and cropped; beside them what in
DATA is of the class `other`, drawn radiographs, noise, scikit-image's photographs, the radiographs that
pydicom-data brings, and the files of other folders, each by its name. Nothing that shows a radiograph is
written.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from infmap_kit.command import console
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.files import read_json
from infmap_kit.model.run_folder import FAMILIARITY, FAMILIARITY_GRAPH
from infmap_kit.report.table import Table
from infmap_train import run_folder
from infmap_train.data.dataset import OTHER, Sample, load, read_index
from infmap_train.studies.familiarity import FeatureExtractor

_SIZE = 224
_DRAWN = 30
_MOST = 400
"""Pictures of a kind that are looked at, spread over all of it."""

Images = NDArray[np.uint8]


def changed(held_back: Images) -> Iterator[tuple[str, Images]]:
    """Radiographs as nobody should ask about them, by what was done to them."""
    yield "mirrored", held_back[:, :, ::-1]
    yield "rotated by 90 degrees", np.rot90(held_back, 1, (1, 2))
    yield "upside down", held_back[:, ::-1]
    yield "negatives", 255 - held_back
    for percent in (60, 40):
        edge = int(_SIZE * (100 - percent) / 200)
        collimated = np.zeros_like(held_back)
        inside = np.s_[:, edge : _SIZE - edge, edge : _SIZE - edge]
        collimated[inside] = held_back[inside]
        yield f"collimated to {percent} % of width and height", collimated
    middle = held_back[:, _SIZE // 4 : -_SIZE // 4, _SIZE // 4 : -_SIZE // 4]
    yield (
        "cropped to the middle half",
        np.stack([cv2.resize(one, (_SIZE, _SIZE)) for one in middle]),
    )


def made() -> Iterator[tuple[str, Images]]:
    """Pictures that nobody took."""
    drawn = (synthetic_radiograph(number, height=512, width=448) for number in range(_DRAWN))
    yield "synthetic radiographs", np.stack([network_input(one.radiograph.pixels) for one in drawn])
    random = np.random.default_rng(1)
    plain = [random.integers(0, 256, (_SIZE, _SIZE)).astype(np.uint8) for _ in range(12)]
    blurred = [cv2.GaussianBlur(one, (0, 0), 2 ** (n % 6)) for n, one in enumerate(plain)]
    yield "noise, plain and blurred", np.stack([*plain, *blurred]).astype(np.uint8)


def brought() -> Iterator[tuple[str, Images]]:
    """Pictures that packages bring."""
    import data_store
    import skimage

    photographs = Path(skimage.__file__).parent / "data"
    decoded = (
        cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        for path in sorted(photographs.glob("*.[pj][np]g"))
    )
    yield (
        "photographs (scikit-image)",
        np.stack([network_input(one.astype(np.uint8)) for one in decoded if one is not None]),
    )
    folder = Path(data_store.__file__).parent / "data"
    for name, kind in (("RG1_UNCR.dcm", "a chest (pydicom-data)"), ("RG3_UNCR.dcm", "an ankle")):
        yield kind, network_input(_pixels(folder / name))[np.newaxis]


def files_in(folders: Sequence[Path]) -> Iterator[tuple[str, Images]]:
    """The files of folders, each a kind of its own, whatever serving would say of them."""
    for path in sorted(path for folder in folders for path in folder.iterdir()):
        yield path.name, network_input(_pixels(path))[np.newaxis]


def _pixels(path: Path) -> Images:
    """Gray pixels of a picture, bright = dense, of a DICOM file between its least and its largest value."""
    if path.suffix != ".dcm":
        picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if picture is None:
            raise SystemExit(f"{path} is no picture")
        return picture.astype(np.uint8)
    import pydicom

    dataset = pydicom.dcmread(path, force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    values = dataset.pixel_array.astype(np.float64)
    share = (values - values.min()) / max(float(np.ptp(values)), 1.0)
    return (
        255 * (1 - share if dataset.PhotometricInterpretation == "MONOCHROME1" else share)
    ).astype(np.uint8)


def _some(samples: Sequence[Sample]) -> Images:
    return load(samples[:: -(-len(samples) // _MOST)]).images


def main(run: Path, data: Path, folders: Sequence[Path]) -> None:
    """Print one row a kind."""
    extractor = FeatureExtractor(run, read_json(run / FAMILIARITY)["tensor"])
    graph = onnxruntime.InferenceSession(str(run / FAMILIARITY_GRAPH))
    listed = read_index(data, to_train=False)
    names = run_folder.held_back_names(run)
    held_back = [sample for sample in listed if sample.name in names]
    images = _some(held_back)
    kinds = {
        **{f"held back, {kind}": _some([s for s in held_back if s.kind == kind])
           for kind in sorted({s.kind for s in held_back})},
        **{f"other: {source}": _some([s for s in listed if s.kind == OTHER and s.source == source])
           for source in sorted({s.source for s in listed if s.kind == OTHER})},
        **dict(changed(images)), **dict(made()), **dict(brought()), **dict(files_in(folders)),
    }  # fmt: skip
    rows = []
    for kind, pictures in kinds.items():
        features = extractor.features(np.ascontiguousarray(pictures))
        (value,) = graph.run(None, {"features": features})
        flagged, median = 100 * float((value < 0).mean()), float(np.median(value))
        rows.append((kind, str(len(value)), f"{flagged:.1f}", f"{median:.2f}"))
    console.print(Table("", ("kind", "pictures", "flagged %", "familiarity, median"), rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--files", type=Path, action="append", default=[])
    given = parser.parse_args()
    main(given.run, given.data, given.files)
