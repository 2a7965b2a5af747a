"""Radiographs and masks, ready to be sent, from one place: what is read when tells nobody anything."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import cv2

from infmap_annotate.reading.worklist import Item
from infmap_annotate.study.folder import MASKS, Candidate, Study
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.readers import decode

_MOST = 48


@dataclasses.dataclass(frozen=True)
class Prepared:
    """One item's pictures as they are sent.

    Parameters
    ----------
    image
        The radiograph as a gray PNG of 8 bits; ``None`` when it is missing or was changed.
    masks
        By slot, the first at 0; ``None`` for one whose file is missing or damaged.
    """

    image: bytes | None
    masks: tuple[bytes | None, ...]

    @property
    def missing(self) -> list[str]:
        """One sentence for whatever cannot be shown, without a name."""
        lost = self.masks.count(None)
        found = []
        if self.image is None:
            found.append(
                "The radiograph cannot be shown: its file is missing or was changed. Skip it, and tell "
                "whoever runs the study."
            )
        if lost:
            found.append(
                f"{lost} of {len(self.masks)} masks cannot be shown: tell whoever runs the study."
            )
        return found


class Shelf:
    """What was prepared last, and what will be needed next.

    All of an item is read before any of it is sent, in the order of its slots, and sent from memory.

    Parameters
    ----------
    study
        Where the files are.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._ready: OrderedDict[str, tuple[Item, Prepared]] = OrderedDict()
        self._lock = threading.Lock()
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="shelf")

    def get(self, item: Item) -> Prepared:
        """Everything of one item."""
        with self._lock:
            known = self._ready.get(item.id)
            # A third reader's masks may change while it waits.
            if known is not None and known[0] == item:
                self._ready.move_to_end(item.id)
                return known[1]
        prepared = Prepared(self._image(item), tuple(map(self._mask, item.order)))
        with self._lock:
            # What cannot be shown is looked for again: somebody may bring it back.
            if not prepared.missing:
                self._ready[item.id] = (item, prepared)
                while len(self._ready) > _MOST:
                    self._ready.popitem(last=False)
        return prepared

    def prepare(self, item: Item) -> None:
        """Prepare an item beside other work."""
        self._ahead.submit(self.get, item)

    def close(self) -> None:
        """Prepare nothing more."""
        self._ahead.shutdown(wait=True, cancel_futures=True)

    def _image(self, item: Item) -> bytes | None:
        try:
            content = self._study.image_path(item.picture).read_bytes()
        except OSError:
            return None
        if hashlib.sha256(content).hexdigest() != item.picture.sha256:
            return None
        try:
            pixels = decode(content, item.picture.name).pixels
        except InputRejected:
            return None
        # Encoded anew: what else a file carries, a patient's name say, stays where it is.
        return bytes(cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1])

    def _mask(self, candidate: Candidate) -> bytes | None:
        try:
            content = (self._study.folder / MASKS / candidate.file).read_bytes()
        except OSError:
            return None
        return content if hashlib.sha256(content).hexdigest() == candidate.sha256 else None
