"""How often something drawn over the lungs is warned of, and how often a radiograph with nothing drawn is.

    .venv/bin/python scripts/drawn_figures.py DATA ... [--pictures N] [--kept FOLDER]

Each DATA is a folder as `infmap-train` reads it (index.csv and pictures). Patients are parted into two halves:
the measure in `infmap_kit.imaging.looks.drawn` was set on the first, and the second is for its figures. On N
pictures of the second half, each of another patient, text, arrows, frames and circles are drawn at 1024 pixels,
and looked at as they are, as JPEG of 512 pixels, and at 256. With --kept, pictures that are warned of as they
are lie there afterwards, for a look whether something is drawn on them; they show patients.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from infmap_kit.command import console
from infmap_kit.imaging.looks.drawn import DRAWN_ABOVE, drawn_extent
from infmap_kit.imaging.readers import decode_file
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.report.table import Table
from infmap_kit.results import sheet
from infmap_train.data.dataset import Sample, each_patient_once, read_index, split_by_group

_SIZE = 1024
_FONT = Path(sheet.__file__).parent / "fonts" / "DejaVuSans.ttf"
_TYPEFACES = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX)
_WORDS = (
    "PORTABLE",
    "SUPINE",
    "ERECT 10:32",
    "AP",
    "Dr. Li",
    "Pneumonia",
    "14.03.2020",
    "L1234567",
)
_SYNTHETIC = 20
_SYNTHETIC_SIZES = ((512, 448), (768, 640), (400, 560), (1024, 896))

Picture = NDArray[np.uint8]


@dataclasses.dataclass(frozen=True)
class Drawing:
    """What is drawn.

    Parameters
    ----------
    kind
        ``text``, ``arrow``, ``frame``, ``circle``, ``letter`` (a side's, in a corner) or ``wire``.
    percent
        Height of text, length of an arrow, side of a frame, of the picture's height.
    line
        Width of lines in pixels of 512; text has a ninth of its height.
    outlined
        Whether there is a black outline.
    ink
        Its level, or how much of the way to white a wire goes.
    """

    kind: str
    percent: float
    line: float = 2
    outlined: bool = False
    ink: int = 255

    @property
    def title(self) -> str:
        """The row's name in the table."""
        line = "" if self.kind in ("text", "letter") else f", lines of {self.line:g}"
        outline = ", outlined" if self.outlined else ""
        ink = "" if self.ink == 255 else f", level {self.ink}"
        return f"{self.kind} of {self.percent:g} %{line}{outline}{ink}"

    def over(self, picture: Picture, random: np.random.Generator) -> Picture:
        """A copy of a picture, (1024, 1024) uint8, with this drawn over the lungs."""
        extent = self.percent * _SIZE / 100
        at = random.uniform([0.22, 0.22], [0.78, 0.62]) * _SIZE
        if self.kind == "text":
            return self._text(picture, extent, at, random)
        if self.kind == "letter":
            at = np.array([random.choice([0.06, 0.94]), random.uniform(0.05, 0.3)]) * _SIZE
            return self._text(picture, extent, at, random, "LR"[random.integers(2)])
        lines = getattr(self, f"_{self.kind}")(extent, at, random)
        drawn, width = picture.copy(), max(1, round(self.line * _SIZE / 512))
        smooth = cv2.LINE_AA if random.random() < 0.5 else cv2.LINE_8
        for level, wider in ((0, 2 * width if self.outlined else 0), (self.ink, 0)):
            if level or wider:
                for line in lines:
                    cv2.polylines(drawn, [line], False, level, width + wider, smooth)
                if self.kind == "arrow" and len(lines) == 1:
                    cv2.fillPoly(drawn, [lines[0][1:]], level, smooth)
        if self.kind == "wire":
            through = self.ink / 255
            return np.where(
                drawn == self.ink, picture + through * (255.0 - picture), picture
            ).astype(np.uint8)
        return drawn

    def _text(
        self,
        picture: Picture,
        height: float,
        at: NDArray[np.float64],
        random: np.random.Generator,
        word: str = "",
    ) -> Picture:
        word = word or _WORDS[random.integers(len(_WORDS))]
        outline = max(1, round(height / 10))
        if random.random() < 0.5:
            # Capitals of this typeface have 0.73 of its size.
            image = Image.fromarray(picture)
            ImageDraw.Draw(image).text(
                tuple(at),
                word,
                self.ink,
                ImageFont.truetype(str(_FONT), round(height / 0.73)),
                "mm",
                stroke_width=outline if self.outlined else 0,
                stroke_fill=0,
            )
            return np.asarray(image)
        face = _TYPEFACES[random.integers(len(_TYPEFACES))]
        (width, high), _ = cv2.getTextSize(word, face, 1, 1)
        scale, stroke = height / high, max(1, round(height / 9))
        corner = (round(at[0] - width * scale / 2), round(at[1] + height / 2))
        drawn = picture.copy()
        if self.outlined:
            cv2.putText(drawn, word, corner, face, scale, 0, stroke + 2 * outline, cv2.LINE_AA)
        cv2.putText(drawn, word, corner, face, scale, self.ink, stroke, cv2.LINE_AA)
        return drawn

    def _arrow(
        self, length: float, at: NDArray[np.float64], random: np.random.Generator
    ) -> list[NDArray[np.int32]]:
        """Shaft and head, or the head filled: then in one line."""
        turn = random.uniform(0, 2 * np.pi)
        along = np.array([np.cos(turn), np.sin(turn)])
        across = np.array([-along[1], along[0]])
        tip, head = at + along * length / 2, max(0.3 * length, 4 * self.line * _SIZE / 512)
        sides = [tip - head * along + side * 0.55 * head * across for side in (-1, 1)]
        tail = tip - along * length
        if random.random() < 0.5:
            return [
                np.array(
                    [tail, tip - head * along, sides[0], tip, sides[1], tip - head * along],
                    np.int32,
                )
            ]
        return [np.array([tail, tip], np.int32), np.array([sides[0], tip, sides[1]], np.int32)]

    def _frame(
        self, side: float, at: NDArray[np.float64], random: np.random.Generator
    ) -> list[NDArray[np.int32]]:
        half = np.array([0.5, random.uniform(0.3, 0.8)]) * side
        corners = [at + half * signs for signs in ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))]
        return [np.array(corners, np.int32)]

    def _circle(
        self, across: float, at: NDArray[np.float64], _: np.random.Generator
    ) -> list[NDArray[np.int32]]:
        turns = np.linspace(0, 2 * np.pi, 60)[:, np.newaxis]
        return [(at + across / 2 * np.hstack([np.cos(turns), np.sin(turns)])).astype(np.int32)]

    def _wire(
        self, length: float, at: NDArray[np.float64], random: np.random.Generator
    ) -> list[NDArray[np.int32]]:
        """An arc."""
        turns = random.uniform(0, 2 * np.pi) + np.linspace(0, 1, 60)[:, np.newaxis]
        return [(at + length * (np.hstack([np.cos(turns), np.sin(turns)]) - 0.5)).astype(np.int32)]


DRAWINGS = (
    *(Drawing("text", percent, outlined=o) for percent in (2, 3, 4, 6) for o in (False, True)),
    *(Drawing("arrow", percent, line) for percent in (6, 10, 15) for line in (1, 2, 4)),
    *(Drawing("arrow", 10, line, outlined=True) for line in (1, 4)),
    *(Drawing("frame", percent, line) for percent in (10, 20, 30) for line in (1, 2, 4)),
    Drawing("circle", 20, 1),
    Drawing("circle", 20, 2),
    Drawing("text", 4, ink=200),
    Drawing("arrow", 10, ink=200),
    Drawing("letter", 5),
    Drawing("wire", 40, ink=128),
)


def main(folders: Sequence[Path], pictures: int, kept: Path | None) -> None:
    """Print both tables."""
    samples = [one for folder in folders for one in read_index(folder, to_train=False)]
    pixels = [decode_file(sample.image).pixels for sample in samples]
    first, second = split_by_group(samples, folds=2, seed=0)[0]
    warned = np.array([drawn_extent(one) > DRAWN_ABOVE for one in pixels])
    larger = np.array([drawn_extent(enlarged(one)) > DRAWN_ABOVE for one in pixels])
    rows = []
    for title, half in (("first", first), ("second", second)):
        for kind in ("all", *sorted({sample.kind for sample in samples})):
            chosen = [row for row in half if kind in ("all", samples[row].kind)]
            patients = {samples[row].group for row in chosen}
            shares = [f"{100 * flags[chosen].mean():.2f}" for flags in (warned, larger)]
            once = np.mean(warned[chosen] * each_patient_once([samples[row] for row in chosen]))
            rows.append(
                (
                    title,
                    kind,
                    str(len(chosen)),
                    str(len(patients)),
                    shares[0],
                    f"{100 * once:.2f}",
                    shares[1],
                )
            )
    drawings = [
        synthetic_radiograph(seed, height=height, width=width).radiograph.pixels
        for seed in range(_SYNTHETIC)
        for height, width in _SYNTHETIC_SIZES
    ]
    share = np.mean([drawn_extent(one) > DRAWN_ABOVE for one in drawings])
    rows.append(("", "synthetic", str(len(drawings)), "0", f"{100 * share:.2f}", "", ""))
    columns = (
        "half",
        "kind",
        "pictures",
        "patients",
        "warned of %",
        "each patient once %",
        "enlarged %",
    )
    console.print(Table("as they are", columns, rows))
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        for title, half in (("first", first), ("second", second)):
            for row in half[warned[half]]:
                cv2.imwrite(str(kept / f"{title}-{samples[row].name}.png"), pixels[row])
    console.print(
        found([pixels[row] for row in chosen_patients(samples, second[~warned[second]])[:pictures]])
    )


def chosen_patients(samples: Sequence[Sample], rows: NDArray[np.intp]) -> list[int]:
    """A row of each patient, in random order."""
    order = np.random.default_rng(0).permutation(rows)
    return list({samples[row].group: int(row) for row in order}.values())


def found(pictures: Sequence[Picture]) -> Table:
    """Share of pictures that are warned of when each drawing is drawn over them."""
    random = np.random.default_rng(0)
    rows = []
    for drawing in DRAWINGS:
        drawn = [drawing.over(enlarged(picture), random) for picture in pictures]
        shares = [
            f"{100 * np.mean([drawn_extent(change(one)) > DRAWN_ABOVE for one in drawn]):.1f}"
            for change in (lambda one: one, compressed, lambda one: shrunk(one, 256))
        ]
        rows.append((drawing.title, *shares))
    columns = ("drawn", "1024 pixels, %", "JPEG of 512, %", "256 pixels, %")
    return Table(f"warned of, of {len(pictures)} pictures", columns, rows)


def enlarged(picture: Picture) -> Picture:
    """(1024, 1024) uint8."""
    return cv2.resize(picture, (_SIZE, _SIZE), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def shrunk(picture: Picture, size: int) -> Picture:
    """Shrink to (size, size) uint8, by averaging."""
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA).astype(np.uint8)


def compressed(picture: Picture) -> Picture:
    """Shrink to (512, 512) uint8, through a JPEG of quality 85."""
    content = cv2.imencode(".jpg", shrunk(picture, 512), [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return np.asarray(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE), np.uint8)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--kept", type=Path)
    given = parser.parse_args()
    main(given.data, given.pictures, given.kept)
