"""Mutated DICOM files through the reader, in a process of its own: prints what came out as JSON.

``python fuzz_dicom.py FOLDER SEED COUNT``: every file in the folder is a seed for mutations. A native
decoder that crashes takes this process with it, and the test sees that.
"""

from __future__ import annotations

import collections
import json
import random
import sys
import time
import traceback
from pathlib import Path

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.reader import decode_dicom
from memory import peak_mib

_INTERESTING = (0, 1, 2, 0x7F, 0x80, 0xFE, 0xFF)
_LENGTHS = (b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\xff\xff\xff\x7f", b"\x01\x00\x00\x00")


def mutated(content: bytes, chance: random.Random) -> bytes:
    """A file with a few things wrong, most of them where headers are."""
    found = bytearray(content)
    # Headers lie at both ends of the tags: in the first kilobytes, and where the pixel data begin.
    pixels = max(content.rfind(b"\xe0\x7f\x10\x00"), content.rfind(b"\x7f\xe0\x00\x10"), 0)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        near = chance.choice((132, 132, pixels, pixels, chance.randrange(len(found))))
        place = min(near + chance.randrange(1500), len(found) - 5)
        match chance.randrange(7):
            case 0 | 1:
                found[place] = chance.randrange(256)
            case 2:
                found[place] = chance.choice(_INTERESTING)
            case 3:
                found[place : place + 4] = chance.choice(_LENGTHS)
            case 4:
                del found[place : place + chance.randrange(1, 40)]
            case 5:
                piece = found[place : place + chance.randrange(1, 200)]
                found[place:place] = piece * chance.choice((1, 1, 50))
            case _:
                found[place : place + 2] = chance.randrange(65536).to_bytes(2, "little")
        if len(found) < 200:
            break
    if chance.random() < 0.15:
        del found[chance.randrange(len(found)) :]
    return bytes(found)


def main(folder: Path, seed: int, count: int) -> None:
    """Mutate, read, and tell."""
    seeds = [path.read_bytes() for path in sorted(folder.iterdir())]
    outcomes: collections.Counter[str] = collections.Counter()
    slowest_s, unnamed = 0.0, ""
    for number in range(count):
        chance = random.Random(f"{seed}/{number}")  # noqa: S311  # for tests, not for secrets
        content = mutated(chance.choice(seeds), chance)
        started = time.perf_counter()
        try:
            decode_dicom(content, "x", secondary_capture=True)
            outcomes["read"] += 1
        except InputRejected as rejected:
            outcomes[str(rejected.code)] += 1
            if "ecret" in str(rejected) + json.dumps(rejected.found):
                outcomes["leaked"] += 1
        except BaseException:  # noqa: BLE001  # whatever it is, it has no name
            outcomes["unnamed"] += 1
            unnamed = traceback.format_exc()
        slowest_s = max(slowest_s, time.perf_counter() - started)
    record = {
        "outcomes": dict(outcomes),
        "slowest_s": round(slowest_s, 3),
        "peak_mib": peak_mib(),
        "unnamed": unnamed,
    }
    sys.stdout.write(json.dumps(record))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
