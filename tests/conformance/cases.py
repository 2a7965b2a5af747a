"""Which files the conformance set has: every property with every other one that may stand beside it."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import random
from typing import Any

_PREFIX = "1.2.840.10008.1.2"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Syntax:
    """A transfer syntax, and what it may hold (PS3.5, 8.2).

    Parameters
    ----------
    uid, name
        As PS3.6 has them.
    depths
        Bits stored and allocated.
    signs
        Values of Pixel Representation.
    error_percent
        How far a stored value may be off, in percent of the range of the bits stored; 0 for lossless ones.
    """

    uid: str
    name: str
    depths: tuple[tuple[int, int], ...]
    signs: tuple[int, ...] = (0, 1)
    error_percent: float = 0.0


DEPTHS = ((8, 8), *((bits, 16) for bits in range(8, 17)))

# Lossy ones state what these files are held to, at the quality that they are written with.
SYNTAXES = tuple(
    Syntax(uid=f"{_PREFIX}{end}", name=name, **rest)
    for end, name, rest in (
        ("", "Implicit VR Little Endian", {"depths": DEPTHS}),
        (".1", "Explicit VR Little Endian", {"depths": DEPTHS}),
        (".1.99", "Deflated Explicit VR Little Endian", {"depths": DEPTHS}),
        (".2", "Explicit VR Big Endian", {"depths": DEPTHS}),
        (".5", "RLE Lossless", {"depths": DEPTHS}),
        (".4.50", "JPEG Baseline", {"depths": ((8, 8),), "signs": (0,), "error_percent": 1}),
        (
            ".4.51",
            "JPEG Extended",
            {
                "depths": ((8, 8), *((bits, 16) for bits in range(9, 13))),
                "signs": (0,),
                "error_percent": 1,
            },
        ),
        (".4.57", "JPEG Lossless", {"depths": DEPTHS}),
        (".4.70", "JPEG Lossless, first-order prediction", {"depths": DEPTHS}),
        (".4.80", "JPEG-LS Lossless", {"depths": DEPTHS}),
        (".4.81", "JPEG-LS Near-Lossless", {"depths": DEPTHS, "error_percent": 1}),
        (".4.90", "JPEG 2000, lossless only", {"depths": DEPTHS}),
        (".4.91", "JPEG 2000", {"depths": DEPTHS, "error_percent": 1}),
        (".4.201", "High-Throughput JPEG 2000, lossless only", {"depths": DEPTHS}),
        (".4.202", "High-Throughput JPEG 2000, RPCL, lossless only", {"depths": DEPTHS}),
        (".4.203", "High-Throughput JPEG 2000", {"depths": DEPTHS, "error_percent": 1}),
    )
)

# Photometric Interpretation, and Presentation LUT Shape where there is one.
POLARITIES = ("MONOCHROME1", "MONOCHROME2", "MONOCHROME1, INVERSE", "MONOCHROME2, IDENTITY")
MODALITIES = ("none", "rescale", "modality LUT")
VOIS = ("none", "LINEAR", "LINEAR_EXACT", "SIGMOID", "VOI LUT")

_JAPANESE = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"
_KANA = (
    b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J"
    b"=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J"
)
_KOREAN = (
    b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"
)
_CHINESE = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab"

# Specific Character Set, a name, and its bytes; those with code extensions are of PS3.5, annexes H, I and K.
NAMES: dict[str, tuple[str, bytes]] = {
    "": ("Miller^Anna", b"Miller^Anna"),
    **{
        term: (name, name.encode(codec))
        for term, codec, name in (
            ("ISO_IR 100", "latin_1", "Müller^Änne"),
            ("ISO_IR 101", "iso8859_2", "Wałęsa^Łucja"),
            ("ISO_IR 109", "iso8859_3", "Ĝirafo^Ŝipo"),
            ("ISO_IR 110", "iso8859_4", "Ķirsis^Ēriks"),
            ("ISO_IR 144", "iso8859_5", "Люкceмбypг"),
            ("ISO_IR 127", "iso8859_6", "قباني^لنزار"),
            ("ISO_IR 126", "iso8859_7", "Διονυσιος"),
            ("ISO_IR 138", "iso8859_8", "שרון^דבורה"),
            ("ISO_IR 148", "iso8859_9", "Çavuşoğlu"),
            ("ISO_IR 203", "iso8859_15", "Œuvre^Žižek"),
            ("ISO_IR 166", "iso8859_11", "นามสกุล"),
            ("ISO_IR 13", "shift_jis", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
            ("ISO_IR 192", "utf_8", "Wang^XiaoDong=王^小東"),
            ("GB18030", "gb18030", "Wang^XiaoDong=王^小东"),
            ("GBK", "gbk", "Wang^XiaoDong=王^小东"),
        )
    },
    r"\ISO 2022 IR 87": ("Yamada^Tarou=山田^太郎=やまだ^たろう", _JAPANESE),
    r"ISO 2022 IR 13\ISO 2022 IR 87": ("ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", _KANA),
    r"\ISO 2022 IR 149": ("Hong^Gildong=洪^吉洞=홍^길동", _KOREAN),
    r"\ISO 2022 IR 58": ("Zhang^XiaoDong=张^小东", _CHINESE),
    r"ISO 2022 IR 6\ISO 2022 IR 126": (
        "Dionysios=Διονυσιος",
        b"Dionysios=\x1b-F" + "Διονυσιος".encode("iso8859_7"),
    ),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One file of the set, by its properties."""

    syntax: Syntax
    depth: tuple[int, int]
    sign: int
    polarity: str
    modality: str
    voi: str
    character_set: str

    @property
    def name(self) -> str:
        """Its properties in words."""
        bits, allocated = self.depth
        return (
            f"{self.syntax.name}-{bits} of {allocated} bits-{('unsigned', 'signed')[self.sign]}-{self.polarity}"
            f"-modality {self.modality}-VOI {self.voi}-{self.character_set or 'default'}"
        )


def properties() -> dict[str, tuple[Any, ...]]:
    """What each property may be."""
    return {
        "syntax": SYNTAXES,
        "depth": DEPTHS,
        "sign": (0, 1),
        "polarity": POLARITIES,
        "modality": MODALITIES,
        "voi": VOIS,
        "character_set": tuple(NAMES),
    }


def is_possible(chosen: dict[str, Any]) -> bool:
    """Whether a syntax holds such values, as far as they are chosen."""
    syntaxes = [chosen["syntax"]] if "syntax" in chosen else SYNTAXES
    return any(
        chosen.get("depth", syntax.depths[0]) in syntax.depths
        and chosen.get("sign", syntax.signs[0]) in syntax.signs
        for syntax in syntaxes
    )


@functools.cache
def cases() -> tuple[Case, ...]:
    """Make a set in which each possible pair of two properties' values occurs, the same every time."""
    values, draw = properties(), random.Random(17)  # noqa: S311  # no secret
    missing = {
        (one, two)
        for first, second in itertools.combinations(values, 2)
        for one in ((first, value) for value in values[first])
        for two in ((second, value) for value in values[second])
        if is_possible(dict((one, two)))
    }
    chosen: list[Case] = []
    while missing:
        # In the order of the properties, so that no set's order matters.
        least = min(missing, key=lambda pair: [_place(values, one) for one in pair])
        best = max(
            (_completed(dict(least), values, missing, draw) for _ in range(8)),
            key=lambda row: len(_pairs(row) & missing),
        )
        missing -= _pairs(best)
        chosen.append(Case(**best))
    return tuple(chosen)


def _place(values: dict[str, tuple[Any, ...]], one: tuple[str, Any]) -> tuple[int, int]:
    return list(values).index(one[0]), values[one[0]].index(one[1])


def _pairs(row: dict[str, Any]) -> set[tuple[tuple[str, Any], tuple[str, Any]]]:
    return {
        ((first, row[first]), (second, row[second]))
        for first, second in itertools.combinations(properties(), 2)
    }


def _completed(
    row: dict[str, Any],
    values: dict[str, tuple[Any, ...]],
    missing: set[tuple[tuple[str, Any], tuple[str, Any]]],
    draw: random.Random,
) -> dict[str, Any]:
    """Choose the other properties one by one, each by how many missing pairs it brings."""
    left = [name for name in values if name not in row]
    draw.shuffle(left)
    order = list(values)
    for name in left:
        options = [value for value in values[name] if is_possible({**row, name: value})]
        draw.shuffle(options)

        def gain(value: Any, name: str = name) -> int:
            one = (name, value)
            return sum(
                (
                    ((other, row[other]), one)
                    if order.index(other) < order.index(name)
                    else (one, (other, row[other]))
                )
                in missing
                for other in row
            )

        row[name] = max(options, key=gain)
    return row
