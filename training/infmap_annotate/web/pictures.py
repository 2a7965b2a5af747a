"""Radiographs and masks, ready to be sent, from one place: the time of reading shows nothing of a mask."""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import cv2

from infmap_annotate.reading.worklist import Item
from infmap_annotate.study.folder import Candidate, Study
from infmap_kit.errors import InputRejected, StudyError
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
        The masks by slot, the first at 0; ``None`` where the file is missing or damaged.
    """

    image: bytes | None
    masks: tuple[bytes | None, ...]

    @property
    def missing(self) -> list[str]:
        """Sentences, without a name, about pictures that cannot be shown."""
        lost = self.masks.count(None)
        sentences = []
        if self.image is None:
            sentences.append(
                "The radiograph cannot be shown: its file is missing or was changed. Skip it, and tell "
                "whoever runs the study."
            )
        if lost:
            sentences.append(
                f"{lost} of {len(self.masks)} masks cannot be shown: tell whoever runs the study."
            )
        return sentences


class PictureCache:
    """The items that were prepared last, and the one that will be needed next.

    All of an item is read before any of it is sent, in the order of its slots, and sent from memory; who
    asks meanwhile waits for that, whichever slot they ask for.

    Parameters
    ----------
    study
        The study that holds the files.
    """

    def __init__(self, study: Study) -> None:
        self._study = study
        self._ready: OrderedDict[str, tuple[Item, Prepared]] = OrderedDict()
        self._lock = threading.Lock()
        self._reading: dict[str, threading.Lock] = {}
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="pictures")

    def get(self, item: Item) -> Prepared:
        """All pictures of one item."""
        ready = self._known(item)
        if ready is not None:
            return ready
        with self._lock:
            reading = self._reading.setdefault(item.id, threading.Lock())
        # One request reads for all that come at once: the one that came first would be slower by that.
        with reading:
            ready = self._known(item)
            if ready is None:
                ready = Prepared(self._image(item), tuple(map(self._mask, item.order)))
                self._keep(item, ready)
        return ready

    def _known(self, item: Item) -> Prepared | None:
        with self._lock:
            known = self._ready.get(item.id)
            # A third reader's masks may change while it waits.
            if known is None or known[0] != item:
                return None
            self._ready.move_to_end(item.id)
            return known[1]

    def _keep(self, item: Item, prepared: Prepared) -> None:
        with self._lock:
            self._reading.pop(item.id, None)
            # A missing file is looked for again: it may be brought back.
            if not prepared.missing:
                self._ready[item.id] = (item, prepared)
                while len(self._ready) > _MOST:
                    self._ready.popitem(last=False)

    def prepare(self, item: Item) -> None:
        """Prepare an item beside other work."""
        self._ahead.submit(self.get, item)

    def close(self) -> None:
        """Prepare nothing more."""
        self._ahead.shutdown(wait=True, cancel_futures=True)

    def _image(self, item: Item) -> bytes | None:
        try:
            pixels = decode(self._study.read_image(item.picture), item.picture.name).pixels
        except (StudyError, InputRejected):
            return None
        # Encoded anew: a patient's name, or whatever else a file carries, is not sent.
        return bytes(cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1])

    def _mask(self, candidate: Candidate) -> bytes | None:
        try:
            return self._study.read_mask(candidate.file, candidate.sha256)
        except StudyError:
            return None
