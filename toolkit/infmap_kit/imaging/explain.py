"""An account of how a DICOM file is read and windowed, for `infmap-kit inspect`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.acceptance import (
    CHEST_PARTS,
    NEAR_PARTS,
    OTHER_PARTS,
    age_years,
    term,
)
from infmap_kit.imaging.dicom.quiet import quiet
from infmap_kit.imaging.dicom.reader import Account, decode_dicom
from infmap_kit.imaging.looks import chest
from infmap_kit.imaging.looks.judging import judge_picture
from infmap_kit.imaging.radiograph import Reason, rejection_document
from infmap_kit.imaging.readers import is_dicom, read_content

if TYPE_CHECKING:
    from pydicom import Dataset
    from rich.console import RenderableType


def explain_dicom(path: Path) -> dict[str, Any]:
    """Read a DICOM file as `infmap-kit infer` does, and account for every step.

    Nothing in the account names the patient: no names, numbers or dates, and of free text only the
    standard's own terms. Secondary captures are explained too; ``secondary_capture`` says so.

    Returns
    -------
    dict
        Plain values that JSON can hold: ``transfer_syntax``, ``modality``, ``bits``, ``steps`` of the
        display, ``polarity``, ``warnings``, and ``rejected`` with code, reason and what was found, or
        ``None``. What was not reached is missing.

    Raises
    ------
    InputRejected
        When there is no such file, or it is no DICOM file at all.
    """
    content = read_content(path)
    if not is_dicom(content):
        raise InputRejected(
            Reason.UNKNOWN_FORMAT, "expected a DICOM file, found another", file=str(path)
        )
    account = Account()
    document: dict[str, Any] = {"kind": "dicom", "file_bytes": len(content), "rejected": None}
    pixels = None
    try:
        pixels = _read(content, account, document)
    except InputRejected as rejection:
        document["rejected"] = rejection_document(rejection)
    if account.dataset is not None:
        with quiet():
            document |= _tags(account.dataset)
    if account.decoder:
        document["decoder"] = account.decoder
    if account.display is not None:
        document["steps"] = list(account.display.steps)
        document["orientation"] = {
            "upright_as_stored": account.orientation.is_upright,
            **dataclasses.asdict(account.orientation),
        }
    warnings = account.warnings
    if pixels is not None:
        try:
            warnings += judge_picture(pixels, turned_over=account.orientation.mirrored)
        except InputRejected as rejection:
            document["rejected"] = rejection_document(rejection)
        document["polarity"] = _polarity(chest.chest_likeness(pixels))
    document["warnings"] = [dataclasses.asdict(warning) for warning in warnings]
    return document


def explained(document: dict[str, Any]) -> RenderableType:
    """Lay an account of :func:`explain_dicom` out for a terminal."""
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    rejected = document["rejected"]
    table.add_row("verdict", f"rejected: {rejected['code']}" if rejected else "read")
    if rejected:
        table.add_row("", rejected["reason"])
    for name in ("transfer_syntax", "decoder", "modality", "sop_class", "body_part", "view"):
        if document.get(name):
            table.add_row(name.replace("_", " "), str(document[name]))
    if "rows" in document:
        table.add_row("size", f"{document['columns']}x{document['rows']}")
        bits = document["bits"]
        table.add_row("bits", f"{bits['stored']} of {bits['allocated']} stored, {bits['values']}")
    for step in document.get("steps", ()):
        table.add_row(step["step"], _sentence(step))
    if "polarity" in document:
        polarity = document["polarity"]
        table.add_row("polarity", f"{polarity['verdict']} (likeness {polarity['likeness']})")
    for warning in document["warnings"]:
        table.add_row("warning", f"{warning['code']}: {warning['text']}")
    return table


def _sentence(step: dict[str, Any]) -> str:
    match step["step"], step.get("kind"):
        case "modality", "rescale":
            return f"rescaled: slope {step['slope']:g}, intercept {step['intercept']:g}"
        case "voi", "window":
            window = f"centre {step['centre']:g}, width {step['width']:g}, {step['function']}"
            return f"window of the file (the first of {step['first_of']}): {window}"
        case "voi", "own range":
            return f"no window in the file: {step['what']}"
        case _, "LUT":
            return f"LUT of the file, entries of {step['bits']} bits"
        case "presentation", _:
            done = "inverted" if step["inverted"] else "as it is"
            return f"{done}: {step['because']}"
        case _:
            return f"shown black: about {step['share']:.0%} of the picture"


def _read(content: bytes, account: Account, document: dict[str, Any]) -> Any:
    try:
        return decode_dicom(content, "", account=account).pixels
    except InputRejected as rejection:
        if rejection.code != "secondary-capture":
            raise
        document["secondary_capture"] = True
        document["rejected"] = rejection_document(rejection)
    return decode_dicom(content, "", secondary_capture=True, account=account).pixels


def _tags(dataset: Dataset) -> dict[str, Any]:
    from pydicom.uid import UID

    syntax = UID(str(dataset.file_meta.TransferSyntaxUID))
    sop_class = UID(str(_value(dataset, "SOPClassUID") or ""))
    signed = _value(dataset, "PixelRepresentation") == 1
    tags: dict[str, Any] = {
        "transfer_syntax": syntax.name,
        "sop_class": sop_class.name if sop_class.name != sop_class else "",
        "modality": _short(_value(dataset, "Modality")),
        "body_part": _known(dataset, "BodyPartExamined", (*CHEST_PARTS, *NEAR_PARTS, *OTHER_PARTS)),
        "view": _known(
            dataset, "ViewPosition", ("AP", "PA", "LL", "RL", "RLD", "LLD", "RLO", "LLO")
        ),
        "age_years": age_years(dataset),
        "photometric_interpretation": _short(_value(dataset, "PhotometricInterpretation"), 16),
    }
    rows, columns, allocated = (
        _value(dataset, name) for name in ("Rows", "Columns", "BitsAllocated")
    )
    if all(isinstance(number, int) for number in (rows, columns, allocated)):
        tags |= {"rows": rows, "columns": columns}
        tags["bits"] = {
            "stored": _value(dataset, "BitsStored"),
            "allocated": allocated,
            "high": _value(dataset, "HighBit"),
            "values": "signed" if signed else "unsigned",
        }
    return tags


def _known(dataset: Dataset, keyword: str, known: tuple[str, ...]) -> str:
    value = _value(dataset, keyword)
    return term(value, known) if value else ""


def _value(dataset: Dataset, keyword: str) -> Any:
    """The value of an attribute; ``None`` for one that cannot be read, which pydicom tries only now."""
    try:
        return dataset.get(keyword)
    except Exception:  # noqa: BLE001  # pydicom names no closed set of errors for damaged values
        return None


def _short(value: object, length: int = 3) -> str:
    """A code string where it looks like one of the standard's, else ``another one``."""
    text = str(value or "")
    return text if len(text) <= length and text.replace(" ", "").isalnum() else "another one"


def _polarity(likeness: float) -> dict[str, Any]:
    verdict = "doubtful" if likeness < chest.DOUBTFUL_BELOW else "right"
    if likeness < chest.NEGATIVE_BELOW:
        verdict = "suspected wrong"
    return {
        "verdict": verdict,
        "likeness": round(likeness, 3),
        "negative_below": chest.NEGATIVE_BELOW,
        "doubtful_below": chest.DOUBTFUL_BELOW,
        "measured": "correlation with a drawing of a frontal chest; it changes sign with polarity",
    }
