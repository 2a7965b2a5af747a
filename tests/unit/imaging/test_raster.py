"""PNG, JPEG and TIFF: right gray values, or a named reason."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.raster import decode_raster
from infmap_kit.imaging.readers import judge

_HEIGHT, _WIDTH = 80, 100


@pytest.fixture(scope="module")
def gray() -> NDArray[np.uint8]:
    return _gray()


def _gray() -> NDArray[np.uint8]:
    """A picture that differs from all its turned and mirrored selves."""
    noise = np.random.default_rng(1).integers(0, 256, (_HEIGHT, _WIDTH)).astype(np.uint8)
    picture = cv2.GaussianBlur(noise, (0, 0), 3)
    return cv2.normalize(picture, np.empty_like(picture), 7, 201, cv2.NORM_MINMAX).astype(np.uint8)


def _encoded(suffix: str, picture: NDArray[Any], *options: int) -> bytes:
    return cv2.imencode(suffix, picture, options)[1].tobytes()


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png(rows: list[bytes], *, width: int, bits: int, colour: int, extra: bytes = b"") -> bytes:
    """A PNG written by hand; every row is unfiltered."""
    header = struct.pack(">IIBBBBB", width, len(rows), bits, colour, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    return (
        b"\x89PNG\r\n\x1a\n"
        + _png_chunk(b"IHDR", header)
        + extra
        + _png_chunk(b"IDAT", data)
        + _png_chunk(b"IEND", b"")
    )


def _tiff(strip: bytes, order: str = "<", more: int = 0, **tags: int) -> bytes:
    """A TIFF of one strip, written by hand."""
    numbers = {
        "width": 256, "height": 257, "bits": 258, "compression": 259, "photometric": 262,
        "offset": 273, "orientation": 274, "samples": 277, "rows": 278, "size": 279, "planes": 284,
        "predictor": 317, "format": 339,
    }  # fmt: skip
    values = {
        "width": _WIDTH, "height": _HEIGHT, "bits": 8, "compression": 1, "photometric": 1,
        "offset": 8, "samples": 1, "rows": _HEIGHT, "size": len(strip), **tags,
    }  # fmt: skip
    entries = b"".join(
        struct.pack(order + "HHII", number, 4, 1, values[name])
        for name, number in numbers.items()
        if name in values
    )
    mark = b"II*\0" if order == "<" else b"MM\0*"
    count = struct.pack(order + "H", len(values))
    return (
        mark + struct.pack(order + "I", 8 + len(strip)) + strip + count + entries
        + struct.pack(order + "I", more)
    )  # fmt: skip


def _rejected(content: bytes) -> InputRejected:
    with pytest.raises(InputRejected) as rejected:
        judge(decode_raster(content, "x"))
    return rejected.value


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_gray_comes_back_as_stored(suffix: str, gray: NDArray[np.uint8]) -> None:
    radiograph = decode_raster(_encoded(suffix, gray), "x")
    np.testing.assert_array_equal(radiograph.pixels, gray)
    assert radiograph.notes == ()
    assert radiograph.media_type == {".png": "image/png", ".tif": "image/tiff"}[suffix]


def test_gray_jpeg_is_what_opencv_decodes(gray: NDArray[np.uint8]) -> None:
    content = _encoded(".jpg", gray, cv2.IMWRITE_JPEG_QUALITY, 90)
    radiograph = decode_raster(content, "x")
    expected = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    np.testing.assert_array_equal(radiograph.pixels, expected)
    assert (radiograph.media_type, radiograph.notes) == ("image/jpeg", ())


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_gray_in_three_channels_is_exact(suffix: str, gray: NDArray[np.uint8]) -> None:
    radiograph = decode_raster(_encoded(suffix, cv2.merge([gray] * 3)), "x")
    np.testing.assert_array_equal(radiograph.pixels, gray)
    assert radiograph.notes == ()


@pytest.mark.parametrize("progressive", [0, 1])
def test_gray_in_a_colour_jpeg(progressive: int, gray: NDArray[np.uint8]) -> None:
    options = (cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive)
    radiograph = decode_raster(_encoded(".jpg", cv2.merge([gray] * 3), *options), "x")
    assert np.abs(radiograph.pixels.astype(int) - gray).max() <= 8
    assert radiograph.notes == ()


def test_opaque_alpha_changes_nothing(gray: NDArray[np.uint8]) -> None:
    content = _encoded(".png", cv2.merge([gray, gray, gray, np.full_like(gray, 255)]))
    radiograph = decode_raster(content, "x")
    np.testing.assert_array_equal(radiograph.pixels, gray)
    assert radiograph.notes == ("opaque alpha dropped",)


def test_transparent_parts_are_black(gray: NDArray[np.uint8]) -> None:
    alpha = np.full_like(gray, 255)
    alpha[:, :30], alpha[:, 30:60] = 0, 102
    radiograph = decode_raster(_encoded(".png", cv2.merge([gray, gray, gray, alpha])), "x")
    expected = np.rint(gray * (alpha / 255.0))
    assert np.abs(radiograph.pixels - expected).max() <= 1
    assert not radiograph.pixels[:, :30].any()
    np.testing.assert_array_equal(radiograph.pixels[:, 60:], gray[:, 60:])
    assert radiograph.notes == ("transparent parts laid over black",)


def test_gray_with_alpha(gray: NDArray[np.uint8]) -> None:
    rows = [np.stack([row, np.full_like(row, 255)], axis=1).tobytes() for row in gray]
    radiograph = decode_raster(_png(rows, width=_WIDTH, bits=8, colour=4), "x")
    np.testing.assert_array_equal(radiograph.pixels, gray)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_that_hold_eight_are_exact(suffix: str, gray: NDArray[np.uint8]) -> None:
    radiograph = decode_raster(_encoded(suffix, gray.astype(np.uint16) * 257), "x")
    np.testing.assert_array_equal(radiograph.pixels, gray)
    assert radiograph.notes == ("16 bit values divided by 257",)


def test_twelve_bits_in_sixteen_fill_the_range(gray: NDArray[np.uint8]) -> None:
    values = gray.astype(np.uint16) * 16 + 3
    radiograph = decode_raster(_encoded(".png", values), "x")
    low, high = np.percentile(values, (0.1, 99.9))
    expected = np.clip((values - low) / (high - low), 0, 1) * 255
    assert np.abs(radiograph.pixels - expected).max() <= 0.5 + 1e-9
    assert radiograph.notes[0].startswith("values scaled from ")


def test_sixteen_bit_colour_channels(gray: NDArray[np.uint8]) -> None:
    wide = gray.astype(np.uint16) * 257
    radiograph = decode_raster(_encoded(".png", cv2.merge([wide] * 3)), "x")
    np.testing.assert_array_equal(radiograph.pixels, gray)


def test_palette_and_single_bits() -> None:
    index = np.add.outer(np.arange(_HEIGHT), np.arange(_WIDTH)).astype(np.uint8) % 4
    palette = np.array([0, 60, 130, 255], np.uint8)
    colours = _png_chunk(b"PLTE", np.repeat(palette, 3).tobytes())
    content = _png([row.tobytes() for row in index], width=_WIDTH, bits=8, colour=3, extra=colours)
    np.testing.assert_array_equal(decode_raster(content, "x").pixels, palette[index])
    bits = (index > 1).astype(np.uint8)
    content = _png([np.packbits(row).tobytes() for row in bits], width=_WIDTH, bits=1, colour=0)
    np.testing.assert_array_equal(decode_raster(content, "x").pixels, bits * 255)


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_of_either_byte_order(order: str, gray: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(decode_raster(_tiff(gray.tobytes(), order), "x").pixels, gray)


@pytest.mark.parametrize("bits", [1, 8, 16])
def test_tiff_whose_white_is_zero_is_inverted(bits: int, gray: NDArray[np.uint8]) -> None:
    if bits == 1:
        shown = (gray > 100).astype(np.uint8) * 255
        strip = np.packbits(shown == 0, axis=1).tobytes()
    else:
        shown = gray
        strip = (
            (255 - gray).tobytes() if bits == 8 else ((255 - gray.astype("<u2")) * 257).tobytes()
        )
    radiograph = decode_raster(_tiff(strip, photometric=0, bits=bits), "x")
    np.testing.assert_array_equal(radiograph.pixels, shown)
    assert any("white is zero" in note for note in radiograph.notes)


_UPRIGHT: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda p: p,
    2: np.fliplr,
    3: lambda p: np.rot90(p, 2),
    4: np.flipud,
    5: np.transpose,
    6: lambda p: np.rot90(p, -1),
    7: lambda p: np.rot90(p, 2).T,
    8: np.rot90,
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["tiff", "jpeg", "colour jpeg"])
def test_orientation_is_obeyed(kind: str, orientation: int, gray: NDArray[np.uint8]) -> None:
    if kind == "tiff":
        content = _tiff(gray.tobytes(), orientation=orientation)
        stored = gray
    else:
        picture = gray if kind == "jpeg" else cv2.merge([gray] * 3)
        plain = _encoded(".jpg", picture, cv2.IMWRITE_JPEG_QUALITY, 100)
        entry = struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
        exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + entry
        content = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]
        stored = decode_raster(plain, "x").pixels
    radiograph = decode_raster(content, "x")
    np.testing.assert_array_equal(radiograph.pixels, _UPRIGHT[orientation](stored))
    assert bool(radiograph.notes) is (orientation != 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["L", "I;16", "RGB", "RGBA"])
@pytest.mark.parametrize("kind", ["png", "png, at its end", "png, with a prefix", "tiff"])
def test_orientation_is_that_of_pillow(
    kind: str, mode: str, orientation: int, gray: NDArray[np.uint8]
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    picture = Image.fromarray(gray.astype(np.uint16) * 257 if mode == "I;16" else gray)
    picture = picture if mode == "I;16" else picture.convert(mode)
    if kind in ("png", "tiff"):
        picture.save(file, kind, exif=exif)
    else:
        picture.save(file, "png")
        prefix = b"Exif\0\0" if "prefix" in kind else b""
        chunk = _png_chunk(b"eXIf", prefix + exif.tobytes().removeprefix(b"Exif\0\0"))
        place = -12 if "end" in kind else 33
        file = io.BytesIO(file.getvalue()[:place] + chunk + file.getvalue()[place:])
    upright = np.asarray(ImageOps.exif_transpose(Image.open(file)))
    expected = upright // 257 if mode == "I;16" else upright if mode == "L" else upright[..., 0]
    radiograph = decode_raster(file.getvalue(), "x")
    np.testing.assert_array_equal(radiograph.pixels, expected)
    assert any("upright" in note for note in radiograph.notes) is (orientation != 1)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("orientation", [3, 6])
@pytest.mark.parametrize("order", "<>")
def test_a_jpeg_is_turned_by_the_orientation_that_its_note_names(
    order: str, orientation: int, count: int, gray: NDArray[np.uint8]
) -> None:
    """A number of 32 bits, and a second block that says another: OpenCV read 1 where our note said 6."""
    plain = _encoded(".jpg", gray, cv2.IMWRITE_JPEG_QUALITY, 100)
    segments = b""
    for one in (orientation, 1)[:count]:
        tiff = struct.pack(
            order + "2sHIHHHIII", b"II" if order == "<" else b"MM", 42, 8, 1, 274, 4, 1, one, 0
        )
        exif = b"Exif\0\0" + tiff
        segments += b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    radiograph = decode_raster(plain[:2] + segments + plain[2:], "x")
    stored = decode_raster(plain, "x").pixels
    np.testing.assert_array_equal(radiograph.pixels, _UPRIGHT[orientation](stored))
    assert radiograph.notes == (f"turned upright from orientation {orientation}",)


@pytest.mark.parametrize("exif", [b"", b"II*\0", b"MM\0*\xff\xff\xff\xff", b"\xff" * 40])
def test_a_png_with_damaged_exif_is_read_as_stored(exif: bytes, gray: NDArray[np.uint8]) -> None:
    plain = _encoded(".png", gray)
    content = plain[:33] + _png_chunk(b"eXIf", exif) + plain[33:]
    np.testing.assert_array_equal(decode_raster(content, "x").pixels, gray)


def test_a_chunk_that_is_longer_than_its_png_is_refused(gray: NDArray[np.uint8]) -> None:
    plain = _encoded(".png", gray)
    longer = plain[:33] + b"\xff\xff\xff\xffeXIf" + plain[33:]
    assert _rejected(longer).code == "truncated"
    assert (
        _rejected(plain[:33] + _png_chunk(b"teXt", b"") * 2**17 + plain[33:]).code == "unreadable"
    )


def test_a_tint_is_dropped_with_a_note(gray: NDArray[np.uint8]) -> None:
    blue = cv2.add(gray, np.full_like(gray, 40))
    radiograph = decode_raster(_encoded(".png", cv2.merge([blue, gray, gray])), "x")
    expected = np.rint(0.114 * blue + 0.886 * gray)
    assert np.abs(radiograph.pixels - expected).max() <= 1
    assert radiograph.notes == ("colour dropped, 0.00% of it strong",)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_small_coloured_marker_is_allowed_and_a_map_is_not(
    suffix: str, gray: NDArray[np.uint8]
) -> None:
    picture = cv2.merge([gray] * 3)
    picture[8:16, 8:24] = (0, 0, 255)
    assert "colour dropped" in decode_raster(_encoded(suffix, picture), "x").notes[0]
    picture[40:, 40:] = cv2.applyColorMap(gray[40:, 40:], cv2.COLORMAP_JET)
    rejected = _rejected(_encoded(suffix, picture))
    assert rejected.code == "colour"
    assert "%" in str(rejected)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_a_picture_that_is_cut_anywhere_is_refused(suffix: str, gray: NDArray[np.uint8]) -> None:
    content = _encoded(suffix, gray)
    for length in range(12, len(content), 7):
        assert _rejected(content[:length]).code in {"truncated", "unreadable"}, length
    for length in (len(content) // 2, len(content) - 40, len(content) - 1):
        assert _rejected(content[:length]).code == "truncated", length


def test_the_end_of_a_thumbnail_is_not_the_end_of_the_picture(gray: NDArray[np.uint8]) -> None:
    plain = _encoded(".jpg", gray)
    thumbnail = b"\xff\xe1" + struct.pack(">H", len(plain) + 2) + plain
    content = plain[:2] + thumbnail + plain[2:]
    assert decode_raster(content, "x").pixels.shape == gray.shape
    assert _rejected(content[:-300]).code == "truncated"


@pytest.mark.parametrize("size", [(1, 1), (63, 200), (20_000, 20_000), (2**31 - 1, 64)])
def test_size_is_refused_by_the_header_alone(size: tuple[int, int]) -> None:
    width, height = size
    code = "too-small" if min(size) < 64 else "too-large"
    png = b"\x89PNG\r\n\x1a\n" + _png_chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    )
    assert _rejected(png).code == code
    assert _rejected(_tiff(b"", width=width, height=height)).code == code
    if max(size) < 2**16:
        frame = struct.pack(">HBHHBBBB", 11, 8, height, width, 1, 1, 0x11, 0)
        assert _rejected(b"\xff\xd8\xff\xc0" + frame + b"\xff\xda").code == code


def test_tiffs_that_are_no_single_gray_picture(gray: NDArray[np.uint8]) -> None:
    assert _rejected(_tiff(gray.tobytes(), more=8)).code == "multi-frame"
    assert _rejected(_tiff(gray.astype("<f4").tobytes(), bits=32, format=3)).code == "pixel-type"
    assert _rejected(_tiff(gray.astype("<i2").tobytes(), bits=16, format=2)).code == "pixel-type"


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("kind", ["png", "tiff", "tiff in tiles"])
def test_transparency_counts_once(kind: str, mode: str, gray: NDArray[np.uint8]) -> None:
    """Of a TIFF OpenCV multiplies by it twice, or not at all, or takes it for pixels of their own."""
    alpha = np.full_like(gray, 255)
    alpha[:40] = 128
    picture = Image.merge(
        mode, [*[Image.fromarray(gray)] * (len(mode) - 1), Image.fromarray(alpha)]
    )
    file = io.BytesIO()
    if kind == "tiff in tiles":
        tiles = {322: 48, 323: 32}
        picture.save(file, "tiff", tiffinfo=tiles, compression="tiff_lzw")
    else:
        picture.save(file, kind)
    radiograph = decode_raster(file.getvalue(), "x")
    assert np.abs(radiograph.pixels - gray * (alpha / 255)).max() <= 1
    assert radiograph.notes == ("transparent parts laid over black",)


def test_a_tiff_whose_strip_cannot_be_decoded_is_refused(gray: NDArray[np.uint8]) -> None:
    """OpenCV leaves such a strip black, without a word."""
    for compression in ("tiff_lzw", "tiff_adobe_deflate"):
        file = io.BytesIO()
        Image.fromarray(np.tile(gray, (4, 4))).save(file, "tiff", compression=compression)
        assert decode_raster(file.getvalue(), "x").pixels.shape == (4 * _HEIGHT, 4 * _WIDTH)
        content = bytearray(file.getvalue())
        middle = len(content) // 2
        content[middle : middle + 64] = bytes(64)
        assert _rejected(bytes(content)).code == "unreadable"
    # JPEG 2000, and one that nobody knows.
    for unknown in (34712, 50999):
        assert _rejected(_tiff(gray.tobytes(), compression=unknown)).code == "unreadable"


def test_a_tiff_that_decoders_read_in_two_ways_is_refused(gray: NDArray[np.uint8]) -> None:
    deep = gray.astype("<u2") * 257
    planes = _tiff(deep.tobytes() * 3, samples=3, bits=16, photometric=2, planes=2)
    assert _rejected(planes).code == "pixel-type"
    both = np.stack([deep, np.full_like(deep, 65535)], -1)
    assert _rejected(_tiff(both.tobytes(), samples=2, bits=16)).code == "pixel-type"
    assert _rejected(_tiff(gray.tobytes(), predictor=2)).code == "unreadable"


def test_a_damaged_checksum_is_refused(gray: NDArray[np.uint8]) -> None:
    content = bytearray(_encoded(".png", gray))
    content[len(content) // 2] ^= 0xFF
    assert _rejected(bytes(content)).code == "unreadable"


_SAMPLES = [
    _encoded(".png", _gray()),
    _encoded(".jpg", _gray()),
    _encoded(".jpg", cv2.merge([_gray()] * 3), cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    _encoded(".tif", _gray().astype(np.uint16) * 100),
    _tiff(_gray().tobytes()),
]


@settings(max_examples=300, deadline=5000)
@given(data=st.data())
def test_damaged_bytes_give_a_picture_or_a_reason(data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(_SAMPLES)))
    # Most damage goes where it hurts: into the first and last 300 bytes.
    near = st.one_of(st.integers(4, 300), st.integers(len(content) - 300, len(content) - 1))
    places = st.one_of(near, st.integers(4, len(content) - 1))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(places)] = data.draw(st.integers(0, 255))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=2)))
    remaining = bytes(content[: cuts[0]] + content[cuts[-1] :]) if cuts else bytes(content)
    try:
        radiograph = decode_raster(remaining, "x")
    except InputRejected:
        return
    assert radiograph.pixels.dtype == np.uint8
    assert radiograph.pixels.ndim == 2


def test_sizes_around_the_block_size_of_jpeg() -> None:
    rng = np.random.default_rng(5)
    for width, wider in pairwise(range(64, 82)):
        picture = rng.integers(0, 256, (wider, width)).astype(np.uint8)
        assert decode_raster(_encoded(".jpg", picture), "x").pixels.shape == (wider, width)


def test_two_headers_of_which_decoders_read_one_or_the_other_are_refused(
    gray: NDArray[np.uint8],
) -> None:
    """Of two frames of a JPEG, or two values of a TIFF tag, our check and OpenCV might take another."""
    jpeg = _encoded(".jpg", gray)
    start = jpeg.index(b"\xff\xc0")
    (length,) = struct.unpack_from(">H", jpeg, start + 2)
    frame = jpeg[start : start + 2 + length]
    huge = frame[:5] + struct.pack(">HH", 60000, 60000) + frame[9:]
    for content in (
        jpeg[:start] + huge + jpeg[start:],
        jpeg[: start + len(frame)] + huge + jpeg[start + len(frame) :],
    ):
        assert _rejected(content).code in ("unreadable", "too-large")
    tiff = _tiff(gray.tobytes())
    (directory,) = struct.unpack_from("<I", tiff, 4)
    (count,) = struct.unpack_from("<H", tiff, directory)
    entries = tiff[directory + 2 : directory + 2 + 12 * count]
    doubled = bytearray(tiff[:4] + struct.pack("<I", len(tiff)) + tiff[8:])
    width = struct.pack("<HHII", 256, 4, 1, 2**20)
    doubled += struct.pack("<H", count + 1) + entries[:12] + width + entries[12:] + bytes(4)
    assert _rejected(bytes(doubled)).code == "unreadable"


def test_a_jpeg_of_endless_scans_is_refused(gray: NDArray[np.uint8]) -> None:
    jpeg = _encoded(".jpg", gray, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    start = jpeg.rindex(b"\xff\xda")
    scan = jpeg[start:-2]
    assert decode_raster(jpeg, "x").pixels.shape == gray.shape
    assert _rejected(jpeg[:start] + scan * 500 + b"\xff\xd9").code == "unreadable"


def test_opencv_itself_decodes_no_more_than_the_largest_radiograph() -> None:
    """Should our own check be led astray; in a process of its own, since OpenCV reads its limit once."""
    program = (
        "import infmap_kit.imaging.raster, cv2, numpy as np\n"
        "ok, data = cv2.imencode('.png', np.zeros((8000, 5100), np.uint8))\n"
        "try:\n print(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE))\n"
        "except cv2.error as error:\n print('refused', 'CV_IO_MAX_IMAGE_PIXELS' in str(error))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "refused True"
