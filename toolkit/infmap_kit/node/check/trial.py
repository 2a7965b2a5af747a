"""A trial of a running node: for each rule a drawn radiograph is sent, judged, delivered, found and removed."""

from __future__ import annotations

import itertools
import os
import time
import uuid
from collections.abc import Iterator
from typing import Any

from pydicom import Dataset, FileMetaDataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from infmap_kit.errors import InfmapError
from infmap_kit.imaging.dicom.acceptance import CAPTURE_MODALITIES, MODALITIES
from infmap_kit.imaging.dicom.dataset import read_header
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.node.check.again import Sent, is_there, missing, remove
from infmap_kit.node.check.calls import way_in
from infmap_kit.node.check.lines import Key
from infmap_kit.node.check.look import CheckState, Look
from infmap_kit.node.config import FOLDER_CALLER, Destination, NodeConfig, Rule
from infmap_kit.node.dicom.reaching import associated
from infmap_kit.node.dicom.response import DestinationUnavailable
from infmap_kit.node.intake import Intake
from infmap_kit.node.queue import view
from infmap_kit.node.queue.database import Database
from infmap_kit.node.queue.states import FINAL, DeliveryState, State
from infmap_kit.node.queue.store import Store
from infmap_kit.node.retention import forget
from infmap_kit.node.rules import matching_rule
from infmap_kit.node.spool import Spool

PATIENT = "INFMAP-TEST"
"""Patient ID of what is sent, so that whoever meets it knows it."""

_PARTS = ("CHEST", "THORAX", "LUNG", "")
_HEIGHT_PIXELS, _WIDTH_PIXELS = 640, 520


class RuleTrial:
    """Sends drawn radiographs through a running node.

    Parameters
    ----------
    config
        The node's file.
    patience_s
        Seconds after which a radiograph is no longer waited for.
    """

    def __init__(self, config: NodeConfig, *, patience_s: float = 120.0) -> None:
        self._config = config
        self._patience_s = patience_s
        self._spool = Spool(config.node.spool)
        self._store = Store(Database(self._spool.database))
        self._destinations = {one.name: one for one in config.destinations}

    def looks(self) -> Iterator[Look]:
        """Try each rule, one after the other."""
        for number, rule in enumerate(self._config.rules):
            yield from self._try(("rules", number), rule)

    def _try(self, key: Key, rule: Rule) -> Iterator[Look]:
        what = f"rule {rule.name}"
        made = self._fitting(rule)
        if made is None:
            yield Look(
                key=key, what=what, verdict=CheckState.UNTRIED,
                found="no radiograph can be drawn that fits it and no rule before it",
            )  # fmt: skip
            return
        dataset, caller = made
        try:
            way = self._send(dataset, caller)
        except InfmapError as error:
            yield Look(
                key=key, what=what, verdict=CheckState.FAULT, found=f"not accepted: {error}",
                fix="see the log of the node (journalctl -u infmap-node)",
            )  # fmt: skip
            return
        image = self._wait_for(dataset.SOPInstanceUID)
        look = self._judged(key, rule, image, f"from {caller} {way}")
        yield look
        if image is None or State(image["state"]) not in FINAL:
            return
        yield from self._look_at_deliveries(key, rule, image)
        forget(self._spool, self._store, image["id"])

    def _fitting(self, rule: Rule) -> tuple[Dataset, str] | None:
        """A radiograph for which the rule is the first that fits, and who would send it."""
        known = [caller.ae_title for caller in self._config.callers]
        callers = sorted(rule.callers or known, key=lambda title: self._way_in(title) is None)
        parts = sorted(rule.body_parts or _PARTS, key=lambda part: part.strip().upper() != "CHEST")
        for caller, modality, part in itertools.product(
            callers, rule.modalities or MODALITIES, parts
        ):
            dataset = _radiograph(modality.strip().upper(), part.strip().upper())
            if matching_rule(self._config.rules, dataset, caller) is rule:
                return dataset, caller
        return None

    def _way_in(self, title: str) -> Any:
        """The node as it can be called under an AE title from here; ``None`` when it cannot."""
        callers = [caller for caller in self._config.callers if caller.ae_title == title]
        ways = (way_in(self._config, caller) for caller in callers)
        return next((way for way in ways if way is not None), None)

    def _send(self, dataset: Dataset, caller: str) -> str:
        """Send as the caller would, or put it where what is received comes to; how, in words."""
        from pynetdicom.presentation import build_context

        node = None if caller == FOLDER_CALLER else self._way_in(caller)
        if node is None:
            self._put(dataset, caller)
            return "by way of the spool, for it may not be called from here"
        context = build_context(dataset.SOPClassUID, ExplicitVRLittleEndian)
        with associated(node, [context], ae_title=caller) as association:
            if not association.is_established:
                raise DestinationUnavailable("the node does not take its SOP class")
            status = association.send_c_store(dataset).get("Status")
        if status != 0:
            shown = "nothing" if status is None else f"0x{status:04X}"
            raise DestinationUnavailable(f"the node answers {shown}")
        return "by C-STORE"

    def _put(self, dataset: Dataset, caller: str) -> None:
        part = self._spool.arriving / f"{uuid.uuid4().hex}.dcm"
        dataset.save_as(part, enforce_file_format=True)
        owner = self._spool.folder.stat()
        if os.geteuid() == 0:
            # The node reads it, and is another user.
            os.chown(part, owner.st_uid, owner.st_gid)
        keep_free_bytes = self._config.limits.keep_free_mb << 20
        Intake(self._spool, self._store, keep_free_bytes=keep_free_bytes).accept(
            part, caller=caller
        )

    def _wait_for(self, uid: str) -> dict[str, Any] | None:
        """The radiograph as the queue has it, when it has come to its end or the time is over."""
        deadline_s = time.monotonic() + self._patience_s
        while True:
            number = view.number_of(self._store.database, uid)
            image = (
                None if number is None else view.image(self._store.database, number, identify=True)
            )
            is_over = image is not None and State(image["state"]) in FINAL
            if is_over or time.monotonic() > deadline_s:
                return image
            time.sleep(0.2)

    def _judged(self, key: Key, rule: Rule, image: dict[str, Any] | None, way: str) -> Look:
        what = f"rule {rule.name}"
        if image is None:
            return Look(
                key=key, what=what, verdict=CheckState.FAULT, found="the node's queue does not have it",
                fix="is the running node on this spool? start it anew (systemctl restart infmap-node)",
            )  # fmt: skip
        found = f"{image['state']}: {image['reason']}" if image["reason"] else str(image["state"])
        gone_to = {delivery["destination"] for delivery in image["deliveries"]}
        if image["state"] == State.IGNORED or gone_to - set(rule.to):
            return Look(
                key=key, what=what, verdict=CheckState.FAULT, found=f"{found}: another rule took it",
                fix="start the node anew, for it may have read an older file (systemctl restart infmap-node)",
            )  # fmt: skip
        if State(image["state"]) not in FINAL:
            return Look(
                key=key, what=what, verdict=CheckState.FAULT,
                found=f"{found}, after {self._patience_s:g} s; it stays in the queue",
                fix=f"infmap-kit node show {image['id']} says what it waits for",
            )  # fmt: skip
        if image["state"] != State.DONE:
            return Look(
                key=key, what=what, verdict=CheckState.FAULT, found=found,
                fix="mend what the reason names, then try again",
            )  # fmt: skip
        return Look(key=key, what=what, found=f"{way}, {found}")

    def _look_at_deliveries(self, key: Key, rule: Rule, image: dict[str, Any]) -> Iterator[Look]:
        delivered: dict[str, list[Sent]] = {}
        for place, name in enumerate(rule.to):
            here, what = (*key, "to", place), f"rule {rule.name} to {name}"
            deliveries = [one for one in image["deliveries"] if one["destination"] == name]
            stored = [one for one in deliveries if one["state"] == DeliveryState.DELIVERED]
            delivered[name] = [self._sent(one["file"]) for one in stored]
            lost = [f"{one['kind']}: {one['reason']}" for one in deliveries if one not in stored]
            if lost or not stored:
                yield Look(
                    key=here, what=what, verdict=CheckState.FAULT,
                    found="; ".join(lost) or "nothing was delivered",
                    fix=f"mend what is named under destination {name}, then try again",
                )  # fmt: skip
            if stored:
                yield self._found_again(here, what, self._destinations[name], delivered[name])
        yield from self._clean_up(key, rule, delivered)

    def _sent(self, file: str) -> Sent:
        with (self._spool.results / file).open("rb") as content:
            header = read_header(content)
        return Sent(
            study=str(header.StudyInstanceUID),
            series=str(header.SeriesInstanceUID),
            instance=str(header.SOPInstanceUID),
        )

    def _found_again(self, key: Key, what: str, where: Destination, sent: list[Sent]) -> Look:
        count = f"{len(sent)} objects delivered"
        try:
            lost = missing(where, sent, ae_title=self._config.node.ae_title)
        except DestinationUnavailable as error:
            found = f"{count}, and not looked for: {error}"
            return Look(key=key, what=what, verdict=CheckState.UNTRIED, found=found)
        if lost:
            return Look(
                key=key, what=what, verdict=CheckState.FAULT,
                found=f"{count}, of which {len(lost)} are not found again",
                fix="ask who runs the destination whether it routes, filters or holds back what it has stored",
            )  # fmt: skip
        return Look(key=key, what=what, found=f"{count} and found again")

    def _clean_up(self, key: Key, rule: Rule, delivered: dict[str, list[Sent]]) -> Iterator[Look]:
        """Remove what was sent; two destinations may be one archive, so that all are asked before any look."""
        refusals = {
            name: remove(self._destinations[name], sent[0].study)
            for name, sent in delivered.items()
            if sent
        }
        for name, refusal in refusals.items():
            here, what = (*key, "to", rule.to.index(name)), f"removed from {name}"
            try:
                stays = is_there(
                    self._destinations[name], delivered[name], ae_title=self._config.node.ae_title
                )
                why = refusal if stays else ""
            except DestinationUnavailable as error:
                stays, why = bool(refusal), refusal or str(error)
            if stays:
                yield Look(
                    key=here, what=what, verdict=CheckState.NOTE, found=f"no, {why or 'it is still there'}",
                    fix=f"remove patient {PATIENT}, study {delivered[name][0].study}, there by hand",
                )  # fmt: skip
            else:
                yield Look(key=here, what=what)


def _radiograph(modality: str, body_part: str) -> Dataset:
    """A drawn radiograph that names itself as a test."""
    pixels = synthetic_radiograph(0, height=_HEIGHT_PIXELS, width=_WIDTH_PIXELS).radiograph.pixels
    dataset = Dataset()
    dataset.SOPClassUID = (
        SecondaryCaptureImageStorage
        if modality in CAPTURE_MODALITIES
        else DigitalXRayImageStorageForPresentation
        if modality == "DX"
        else ComputedRadiographyImageStorage
    )
    for level in ("SOP", "Study", "Series"):
        setattr(dataset, f"{level}InstanceUID", generate_uid())
    dataset.PatientName, dataset.PatientID = "TEST^INFMAP", PATIENT
    dataset.PatientBirthDate, dataset.PatientSex, dataset.PatientAge = "", "O", "050Y"
    dataset.StudyDate, dataset.StudyTime = time.strftime("%Y%m%d"), time.strftime("%H%M%S")
    dataset.StudyID, dataset.AccessionNumber, dataset.ReferringPhysicianName = "TEST", "", ""
    dataset.StudyDescription = "infmap-kit node test: drawn, of no patient"
    dataset.SeriesNumber, dataset.InstanceNumber = 1, 1
    dataset.Modality, dataset.ViewPosition = modality, "PA"
    if body_part:
        dataset.BodyPartExamined = body_part
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    dataset.PixelData = pixels.tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset
