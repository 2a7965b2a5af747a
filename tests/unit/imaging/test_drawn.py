"""Text, arrows and frames over the lungs: warned of by their picture, and pictures without are not."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from dicom_files import as_file, chest_dataset
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.looks.drawn import DRAWN_ABOVE, drawn_extent
from infmap_kit.imaging.readers import read_radiograph
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from pictures import read_picture

CODE = "burned-in"
LETTERS, SMOOTH, WHITE = cv2.FONT_HERSHEY_SIMPLEX, cv2.LINE_AA, 255

Picture = NDArray[np.uint8]


def text(picture: Picture) -> None:
    height = picture.shape[0]
    cv2.putText(
        picture, "PORTABLE", _at(picture, 0.25), LETTERS, height / 600, WHITE, height // 300
    )


def arrow(picture: Picture) -> None:
    width = max(2, picture.shape[0] // 300)
    cv2.arrowedLine(picture, _at(picture, 0.4), _at(picture, 0.28), WHITE, width, SMOOTH, 0, 0.3)


def frame(picture: Picture) -> None:
    cv2.rectangle(picture, _at(picture, 0.22), _at(picture, 0.4), WHITE, picture.shape[0] // 500)


def circle(picture: Picture) -> None:
    cv2.circle(picture, _at(picture, 0.3), picture.shape[0] // 15, WHITE, picture.shape[0] // 500)


def letters_at_the_edge(picture: Picture) -> None:
    height, width = picture.shape
    for word, x, y in (("R", 0.02, 0.12), ("L", 0.9, 0.12), ("AP", 0.86, 0.25)):
        at = (round(x * width), round(y * height))
        cv2.putText(picture, word, at, LETTERS, height / 500, WHITE, height // 200, SMOOTH)
    cv2.circle(picture, (round(0.94 * width), round(0.4 * height)), height // 40, WHITE, 2)


def collimated_edges(picture: Picture) -> None:
    picture[: picture.shape[0] // 10], picture[:, -picture.shape[1] // 12 :] = 0, WHITE
    picture[picture.shape[0] // 10 - 3 : picture.shape[0] // 10] = WHITE


def _at(picture: Picture, share: float) -> tuple[int, int]:
    return round(share * picture.shape[1]), round((0.1 + share) * picture.shape[0])


@pytest.fixture(scope="module")
def chests() -> list[Picture]:
    sizes = ((512, 448), (768, 640), (1100, 1300))
    return [
        synthetic_radiograph(seed, height=height, width=width).radiograph.pixels
        for seed, (height, width) in enumerate(sizes)
    ]


def _codes(content: bytes) -> list[str]:
    return [warning.code for warning in read_radiograph(io.BytesIO(content)).warnings]


def _png(pixels: Picture) -> bytes:
    return cv2.imencode(".png", pixels)[1].tobytes()


@pytest.mark.parametrize("draw", [text, arrow, frame, circle], ids=lambda draw: draw.__name__)
def test_what_is_drawn_over_the_lungs_is_warned_of(
    draw: Callable[[Picture], None], chests: list[Picture]
) -> None:
    for pixels in chests:
        drawn = pixels.copy()
        draw(drawn)
        for content in (_png(drawn), as_file(chest_dataset(drawn))):
            assert _codes(content) == [CODE]


@pytest.mark.parametrize(
    "draw",
    [lambda _: None, letters_at_the_edge, collimated_edges],
    ids=["nothing", "letters", "edges"],
)
def test_what_lies_beside_the_lungs_is_not(
    draw: Callable[[Picture], None], chests: list[Picture]
) -> None:
    for pixels in chests:
        drawn = pixels.copy()
        draw(drawn)
        assert _codes(_png(drawn)) == []


def test_lines_are_never_stepped_over(chests: list[Picture]) -> None:
    """A frame whose lines are a 512th of the longer side, wherever it lies in a large picture."""
    large = cv2.resize(chests[0], (1760, 2140)).astype(np.uint8)
    for shift in range(8):
        drawn = large.copy()
        cv2.rectangle(drawn, (400 + shift, 700 + shift), (700 + shift, 1000 + shift), WHITE, 4)
        assert drawn_extent(drawn) == pytest.approx(304 / 2140, abs=0.01)


def test_drawn_chests_are_quiet() -> None:
    """Their noise is the strongest; scripts/drawn_figures.py looks at more of them."""
    for seed in range(6):
        pixels = synthetic_radiograph(seed, height=400, width=560).radiograph.pixels
        assert drawn_extent(pixels) <= DRAWN_ABOVE


def test_what_is_unlike_a_chest_has_no_lungs_to_draw_over() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256), np.uint8)
    text(noise)
    assert CODE not in _codes(_png(noise))


@pytest.mark.parametrize("shape", [(16, 16), (64, 64), (64, 9000), (9000, 64), (65, 131)])
@pytest.mark.parametrize("level", [0, 255])
def test_even_pictures_have_nothing_drawn(shape: tuple[int, int], level: int) -> None:
    assert drawn_extent(np.full(shape, level, np.uint8)) == 0


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_the_picture_it_is_read_or_refused(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(16, 200), st.integers(16, 200)))
    coarse = data.draw(arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12))))
    pixels = cv2.resize(coarse, shape, interpolation=cv2.INTER_NEAREST).astype(np.uint8)
    assert 0 <= drawn_extent(pixels) <= 1
    with contextlib.suppress(InputRejected):
        read_radiograph(io.BytesIO(_png(pixels)))


def test_over_real_radiographs(shared_data: Path) -> None:
    """Some of these the measure was set on: docs/looks.md has the figures of the other half of the patients."""
    files = [
        *sorted((shared_data / "images").glob("qata_*"))[::8],
        *sorted((shared_data / "control").iterdir())[::8],
    ]
    pictures = [read_picture(file, gray=True) for file in files]
    plain = np.array([drawn_extent(one) for one in pictures])
    larger = [cv2.resize(one, (800, 800)).astype(np.uint8) for one in pictures[::4]]
    for draw, least in ((text, 0.95), (arrow, 0.9), (frame, 0.95), (letters_at_the_edge, 0)):
        found = []
        for pixels in larger:
            drawn = pixels.copy()
            draw(drawn)
            found.append(drawn_extent(drawn) > DRAWN_ABOVE)
        assert np.mean(found) >= least
    assert np.mean(found) < 0.02
    assert len(plain) > 250
    assert np.mean(plain > DRAWN_ABOVE) < 0.01
