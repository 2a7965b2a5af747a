"""The grayscale pipeline of DICOM PS3.4, N.2: from stored values to what a workstation shows.

A stored value has 8 or 16 bits, so the whole pipeline is worked out once for every value that there
can be, and the picture goes through one table.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.radiograph import InputWarning, Reason, WarningCode
from infmap_kit.imaging.tone import eight_bits, rounded, window

if TYPE_CHECKING:
    from pydicom import Dataset

_LUT_OF_16_BITS = int(cv2.__version__.partition(".")[0]) >= 5
"""Whether OpenCV looks up 16 bits too; five times as fast as NumPy."""

_PARTS = 16

_FEW = 1e-4
"""Share of pixels beyond Bits Stored without a word: a lossy decoder's overshoot at an edge or a marker."""

_MOST_SATURATED = 0.8
"""Share of a picture that its window may show as black or white. A collimated radiograph has up to a half of
it; at a window that misses the values there is next to nothing else."""

_SAMPLED = 128
"""About how many rows and columns such a share is taken of."""

Step = dict[str, Any]
"""One step of the pipeline: its name, ``step``, and plain values that JSON can hold."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Display:
    """The way in which stored values are shown.

    Parameters
    ----------
    table
        (256,) or (65536,) uint8: the level of each bit pattern, bright = dense.
    steps, notes
        The steps of the pipeline in order, and the same for people, one phrase each.
    warnings
        Doubts that a reader should know.
    """

    table: NDArray[np.uint8]
    steps: tuple[Step, ...]
    notes: tuple[str, ...]
    warnings: tuple[InputWarning, ...]

    def __call__(self, stored: NDArray[Any]) -> NDArray[np.uint8]:
        """Show (rows, columns) stored values."""
        patterns = _patterns(stored)
        if patterns.dtype == np.uint8 or _LUT_OF_16_BITS:
            return cv2.LUT(patterns, self.table).astype(np.uint8, copy=False)
        # "wrap" changes nothing, as no pattern lies outside, and saves NumPy the look.
        return np.take(self.table, patterns, mode="wrap")


def display(dataset: Dataset, stored: NDArray[Any]) -> Display:
    """Work out how a picture, (rows, columns) as decoded, is shown by default, by its data set's tags.

    Raises
    ------
    InputRejected
        ``unreadable`` for a window or LUT that none can be, ``blank`` when all is padding.
    """
    steps: list[Step] = []
    values, beyond = _stored_values(dataset, stored.dtype)
    padding = _padding(dataset, values)
    units = _modality(dataset, values, steps)
    levels, note, warnings = _voi(dataset, units, padding, stored, steps)
    warnings = [*_beyond_bits_stored(dataset, stored, beyond), *warnings]
    notes = [note] if note else []
    inverse, contradictions = _presented(dataset, steps)
    warnings += contradictions
    if inverse:
        levels = np.bitwise_not(levels)
        notes.append(f"{steps[-1]['because']} inverted")
    if padding.any():
        # Padding is shown as darkest, whatever its value (C.7.5.1.1.2).
        levels = np.where(padding, np.uint8(0), levels)
        share = float(padding[_patterns(stored[::8, ::8])].mean())
        steps.append({"step": "padding", "shown_as": 0, "share": round(share, 4)})
        if share:
            notes.append("pixel padding shown black")
    return Display(table=levels, steps=tuple(steps), notes=tuple(notes), warnings=tuple(warnings))


def _patterns(stored: NDArray[Any]) -> NDArray[Any]:
    """The bits of each value as an unsigned number, in this machine's order."""
    native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    return native.view(np.dtype(f"u{native.dtype.itemsize}"))


def _stored_values(
    dataset: Dataset, dtype: np.dtype[Any]
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Value of each bit pattern, and whether the pattern reaches beyond the bits stored."""
    allocated = 8 * dtype.itemsize
    bits = int(dataset.get("BitsStored") or allocated)
    high = int(dataset.get("HighBit") or bits - 1)
    syntax = dataset.file_meta.TransferSyntaxUID
    # A decoder of a compressed picture has moved the stored bits to the low end.
    low = 0 if syntax.is_encapsulated else high + 1 - bits
    if not 0 <= low <= allocated - bits:
        raise InputRejected(
            Reason.UNREADABLE,
            f"found {bits} bits stored below bit {high} of {allocated}: the tags contradict themselves",
            found={"bits_stored": bits, "high_bit": high, "bits_allocated": allocated},
        )
    patterns = np.arange(2**allocated, dtype=np.int32) >> low
    signed = dataset.get("PixelRepresentation") == 1
    values: NDArray[np.int32] = patterns & (2**bits - 1)
    extended = patterns
    if signed:
        values = values - ((values >> (bits - 1)) << bits)
        width = allocated - low
        extended = patterns - ((patterns >> (width - 1)) << width)
        if "2000" not in syntax.name:
            # Only JPEG 2000 says in itself that values are signed; others give the bits as they were stored.
            extended = np.where(patterns < 2**bits, values, extended)
    beyond: NDArray[np.bool_] = extended != values
    if syntax.is_encapsulated:
        # A lossy decoder overshoots; cut to its low bits, the brightest pixels would turn black.
        least, largest = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        values = np.clip(extended, least, largest).astype(np.int32)
    return values, beyond


def _beyond_bits_stored(
    dataset: Dataset, stored: NDArray[Any], beyond: NDArray[np.bool_]
) -> list[InputWarning]:
    """A warning where more than a few pixels hold values beyond Bits Stored."""
    patterns = _patterns(stored)
    # Most pictures have no bit above the stored ones anywhere, which is quickly seen.
    if not beyond[np.bitwise_or.reduce(patterns, axis=None)] and patterns.dtype == stored.dtype:
        return []
    share = np.count_nonzero(beyond[patterns]) / stored.size
    if share <= _FEW:
        return []
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        treatment = (
            "as lossy compression may leave them: shown as the nearest value that has these bits"
        )
    else:
        treatment = "the bits above are left out as those of an old overlay: look whether the picture is right"
    text = f"{share:.1%} of the pixels lie beyond the {dataset.BitsStored} bits stored; {treatment}"
    return [InputWarning(WarningCode.BEYOND_BITS_STORED, text)]


def _padding(dataset: Dataset, values: NDArray[np.int32]) -> NDArray[np.bool_]:
    """The mask of the values that lie outside the picture (PS3.3, C.7.5.1.1.2)."""
    first = _padding_value(dataset, "PixelPaddingValue")
    if first is None:
        return np.zeros(values.shape, np.bool_)
    last = _padding_value(dataset, "PixelPaddingRangeLimit")
    limits = sorted((first, first if last is None else last))
    return np.asarray((values >= limits[0]) & (values <= limits[1]))


def _padding_value(dataset: Dataset, keyword: str) -> int | None:
    value = dataset.get(keyword)
    if not isinstance(value, int):
        return None
    # An unsigned tag beside signed pixels, or the other way round, is the same 16 bits.
    if dataset.get("PixelRepresentation") == 1:
        return value - 2**16 if value >= 2**15 else value
    return value % 2**16


def _modality(dataset: Dataset, values: NDArray[np.int32], steps: list[Step]) -> NDArray[Any]:
    if dataset.get("ModalityLUTSequence"):
        looked_up, bits = _looked_up(values, dataset.ModalityLUTSequence[0])
        steps.append({"step": "modality", "kind": "LUT", "bits": bits})
        return looked_up
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    if slope is None or intercept is None:
        return values
    slope, intercept = float(slope), float(intercept)
    if not (np.isfinite(slope) and np.isfinite(intercept) and slope != 0):
        raise InputRejected(
            Reason.UNREADABLE,
            f"expected a finite Rescale Slope other than 0 and a finite intercept, found {slope:g} and "
            f"{intercept:g}",
        )
    steps.append({"step": "modality", "kind": "rescale", "slope": slope, "intercept": intercept})
    if slope == 1 and intercept.is_integer() and abs(intercept) < 2**30:
        return values + np.int32(intercept)
    return values * slope + intercept


def _voi(
    dataset: Dataset,
    units: NDArray[Any],
    padding: NDArray[np.bool_],
    stored: NDArray[Any],
    steps: list[Step],
) -> tuple[NDArray[np.uint8], str, list[InputWarning]]:
    """Levels by the first LUT or window of the file that does not miss the values, or by their own range."""
    missed: list[str] = []
    for levels, note, step in _offered(dataset, units):
        share = _saturated(levels, padding, stored)
        if share <= _MOST_SATURATED:
            steps.append(step)
            return levels, note, _misses(missed, note)
        missed.append(f"{note} ({share:.0%} black or white)")
    levels, note = _own_range(units, padding, stored, steps)
    return levels, note, _misses(missed, note or "the values as stored")


def _offered(
    dataset: Dataset, units: NDArray[Any]
) -> Iterator[tuple[NDArray[np.uint8], str, Step]]:
    """Levels by what the file offers, a LUT before windows."""
    luts, centres = dataset.get("VOILUTSequence"), _numbers(dataset.get("WindowCenter"))
    if luts:
        looked_up, bits = _looked_up(units, luts[0])
        step = {"step": "voi", "kind": "LUT", "bits": bits, "first_of": len(luts)}
        yield rounded(looked_up * (255 / (2**bits - 1))), "VOI LUT of the file", step
    widths = _numbers(dataset.get("WindowWidth"))
    function = str(dataset.get("VOILUTFunction") or "LINEAR")
    # Windows may be without a partner in a file that is not as it must be.
    for centre, width in zip(centres, widths, strict=False):
        levels = window(units, centre=centre, width=width, function=function)
        chosen = {"centre": centre, "width": width, "function": function}
        step = {"step": "voi", "kind": "window", **chosen, "first_of": len(centres)}
        yield levels, f"window of the file: centre {centre:g}, width {width:g}", step


def _saturated(
    levels: NDArray[np.uint8], padding: NDArray[np.bool_], stored: NDArray[Any]
) -> float:
    """Share of the picture that a LUT or window shows as black or white, padding left out."""
    # That many pixels are plenty for a share.
    rows, columns = (max(1, extent // _SAMPLED) for extent in stored.shape)
    patterns = _patterns(stored[::rows, ::columns])
    seen = patterns[~padding[patterns]]
    shown = levels[seen]
    return float(np.mean((shown == 0) | (shown == 255))) if seen.size else 0.0


def _misses(missed: list[str], chosen: str) -> list[InputWarning]:
    if not missed:
        return []
    text = f"the values lie outside the {'; the '.join(missed)}: shown by {chosen} instead"
    return [InputWarning(WarningCode.WINDOW_MISSES_VALUES, text)]


def _own_range(
    units: NDArray[Any], padding: NDArray[np.bool_], stored: NDArray[Any], steps: list[Step]
) -> tuple[NDArray[np.uint8], str]:
    """Show the range of the values that occur, where a file has no window."""
    counts = np.zeros(len(units), np.int64)
    # In parts: counting widens to 64 bits what it counts.
    for part in np.array_split(_patterns(stored), _PARTS):
        counts += np.bincount(part.ravel(), minlength=len(units))
    present = np.flatnonzero((counts > 0) & ~padding)
    if not present.size:
        raise InputRejected(Reason.BLANK, "expected a picture, found pixel padding alone")
    occurring = units[present]
    if stored.dtype == np.uint8 and np.array_equal(occurring, occurring.astype(np.uint8)):
        occurring = occurring.astype(np.uint8)
    levels = np.zeros(len(units), np.uint8)
    levels[present], note = eight_bits(occurring, counts[present])
    steps.append({"step": "voi", "kind": "own range", "what": note or "8 bit values as stored"})
    return levels, note


def is_inverse(dataset: Dataset) -> bool:
    """Whether large values are shown dark.

    MONOCHROME1 and the shape INVERSE say the same once, not twice (PS3.3, C.8.11.3.1.2). Where they
    contradict each other the shape decides, as the later step of the pipeline.
    """
    shape = dataset.get("PresentationLUTShape")
    if shape in ("IDENTITY", "INVERSE"):
        return bool(shape == "INVERSE")
    return str(dataset.PhotometricInterpretation) == "MONOCHROME1"


def _presented(dataset: Dataset, steps: list[Step]) -> tuple[bool, list[InputWarning]]:
    photometric, shape = str(dataset.PhotometricInterpretation), dataset.get("PresentationLUTShape")
    inverse = is_inverse(dataset)
    agrees = inverse == (photometric == "MONOCHROME1")
    because = photometric if agrees else f"Presentation LUT Shape {shape}"
    steps.append({"step": "presentation", "inverted": inverse, "because": because})
    if agrees:
        return inverse, []
    text = f"{photometric} contradicts {because}: shown as the latter says"
    return inverse, [InputWarning(WarningCode.CONTRADICTORY_POLARITY, text)]


def _looked_up(values: NDArray[Any], item: Dataset) -> tuple[NDArray[np.int64], int]:
    """Values through a LUT (C.11.1.1), and the bits of its entries."""
    try:
        count, first, bits = (int(number) for number in item.LUTDescriptor)
        item.LUTData  # noqa: B018  # missing, or not to be read
    # pydicom reads a value when it is asked for, and names no closed set of errors for damaged ones.
    except Exception as error:
        raise InputRejected(
            Reason.UNREADABLE,
            "expected a LUT with LUT Data and three numbers as LUT Descriptor, found one without",
            found={"damaged": "LUT Descriptor or LUT Data"},
        ) from error
    # Said as US beside signed pixels it is the same 16 bits (C.11.1.1.1).
    first = first - 2**16 if first >= 2**15 and values.min() < 0 else first
    entries = _entries(item, count % 2**16 or 2**16)
    if not 8 <= bits <= 16:
        raise InputRejected(
            Reason.UNREADABLE, f"expected a LUT with entries of 8 to 16 bits, found {bits}"
        )
    places = np.clip(np.rint(values).astype(np.int64) - first, 0, len(entries) - 1)
    return np.minimum(entries[places], 2**bits - 1), bits


def _entries(item: Dataset, count: int) -> NDArray[np.int64]:
    data = item.LUTData
    if isinstance(data, bytes):
        # 16 bit words, in the file's order; or two entries of 8 bits in each.
        order = ">" if item.original_encoding[1] is False else "<"
        words = np.frombuffer(data, f"{order}u2", len(data) // 2).astype("<u2")
        entries = words.view("u1") if len(data) < 2 * count else words
    else:
        entries = np.atleast_1d(np.asarray(data))
    if entries.size < count:
        raise InputRejected(
            Reason.UNREADABLE,
            f"expected the {count} entries that the LUT announces, found {entries.size}",
        )
    return entries[:count].astype(np.int64) % 2**16


def _numbers(value: Any) -> list[float]:
    """The values of an element that may have none, one or several."""
    return [] if value in (None, "") else np.atleast_1d(np.asarray(value, np.float64)).tolist()
