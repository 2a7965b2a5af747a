"""Reading the results of one patient from files, folders or a node's spool."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from infmap_kit.errors import ProgressionError, SpecError
from infmap_kit.imaging.dicom.identity import stand_in
from infmap_kit.progression.fields import MAX_BYTES, Fields, read_document, shown
from infmap_kit.progression.result import Result, moment, parse_result

_IN_SPOOL = "*-finding.json"
"""Names of the JSON that a node writes beside its results."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Skipped:
    """A radiograph or a file that is no result to line up.

    Parameters
    ----------
    name, reason
        Its name, and why it is left out.
    damaged
        Whether it may be a result that cannot be read, without which the course may be another.
    """

    name: str
    reason: str
    damaged: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """Results as they were read.

    Parameters
    ----------
    results
        The results, in order of the files.
    skipped
        Files and entries that were passed over.
    notes
        Further remarks for the reader.
    """

    results: tuple[Result, ...]
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()

    def of_patient(self, patient: str) -> Reading:
        """The results of a patient alone, by ID or stand-in."""
        names = _names_of_patient(patient)
        results = tuple(result for result in self.results if result.patient in names)
        return dataclasses.replace(self, results=results)

    def timed(self, times: Mapping[str, dt.datetime]) -> Reading:
        """The results with the times of a table, by name of the radiograph or of its JSON."""
        used: set[str] = set()
        results = []
        for result in self.results:
            names = [name for name in (result.source, shown(result.file.name)) if name in times]
            used.update(names)
            if names:
                result = dataclasses.replace(result, taken=times[names[0]], is_shifted=False)
            results.append(result)
        unused = [name for name in times if name not in used]
        note = f"the table of times names what is no result here: {', '.join(unused)}"
        notes = (*self.notes, note) if unused else self.notes
        return dataclasses.replace(self, results=tuple(results), notes=notes)


def read(
    paths: Sequence[Path],
    *,
    spool: Path | None = None,
    patient: str | None = None,
    times: Path | None = None,
) -> Reading:
    """Read one patient's results, and when their radiographs were taken.

    Parameters
    ----------
    paths
        JSON files, and folders of them; or none, with a spool.
    spool
        A node's folder.
    patient
        Patient ID; only results of this one. Needed with a spool.
    times
        Table of times.

    Raises
    ------
    SpecError
        When a named file is not what it should be.
    ProgressionError
        When it is not clear what is meant, or a folder cannot be read.
    """
    if bool(paths) == (spool is not None):
        raise ProgressionError(
            "expected either results (files, folders) or --node-store, not both or none"
        )
    if spool is None:
        reading = read_results(paths, patient)
        reading = reading.of_patient(patient) if patient else reading
    elif patient:
        reading = read_spool(spool, patient)
    else:
        raise ProgressionError(
            "expected --patient with --node-store: a node holds many patients' results"
        )
    return reading.timed(read_times(times)) if times is not None else reading


def read_results(paths: Sequence[Path], patient: str | None = None) -> Reading:
    """Read JSON files of `infmap-kit infer`, what `infer --json` printed, and folders of both.

    In a folder, what is no result is passed over, with its reason; so is a damaged one, unless it says that
    it is of another than this patient.

    Raises
    ------
    SpecError
        When a file that was named is no result.
    ProgressionError
        When a folder cannot be read.
    """
    results: list[Result] = []
    skipped: list[Skipped] = []
    for path in paths:
        if path.is_dir():
            for file in _json_files(path, "*.json"):
                document: object = None
                try:
                    document = read_document(file)
                    if not _is_report(document):
                        _add_all(document, file, results, skipped)
                except SpecError as error:
                    if not patient or _may_be_of(patient, document):
                        damaged = document is None or _holds_severity(document)
                        skipped.append(
                            Skipped(name=shown(file.name), reason=str(error), damaged=damaged)
                        )
        else:
            _add_all(read_document(path), path, results, skipped)
    return Reading(results=tuple(results), skipped=tuple(skipped))


def read_spool(spool: Path, patient: str) -> Reading:
    """Read a node's results of one patient; nothing in its spool is changed, opened for writing or locked.

    Raises
    ------
    ProgressionError
        When the folder is no spool, or cannot be read.
    """
    folder = spool / "results"
    try:
        is_spool = (spool / "node.db").is_file() and folder.is_dir()
    except OSError as error:
        raise ProgressionError(f"cannot read {spool}: {error.strerror}") from error
    if not is_spool:
        raise ProgressionError(
            f"expected the spool of a node in {spool}, found no node.db and results in it: "
            "name the folder that stands as `spool` in node.toml"
        )
    results: list[Result] = []
    skipped: list[Skipped] = []
    for file in _json_files(folder, _IN_SPOOL):
        try:
            document = read_document(file)
            whose = document.get("patient") or "" if isinstance(document, dict) else None
            # Nothing of other patients is read or reported.
            if whose == patient.strip() or not isinstance(whose, str):
                _add(document, file, results, skipped)
        except SpecError as error:
            # Retention may just have taken it away.
            if file.exists():
                skipped.append(Skipped(name=shown(file.name), reason=str(error), damaged=True))
    return Reading(results=tuple(results), skipped=tuple(skipped))


def read_times(path: Path) -> dict[str, dt.datetime]:
    """Read a table of times: CSV with a header that names ``file`` and ``time``.

    Returns
    -------
    dict
        Name of a radiograph, or of its JSON, without folders and as it is shown, to when it was taken.

    Raises
    ------
    SpecError
        Naming the line that cannot be read.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise SpecError(f"expected at most {MAX_BYTES >> 20} MiB in {path}, found more")
        text = path.read_text(encoding="utf-8-sig")
        table = csv.DictReader(io.StringIO(text, newline=""))
        rows = [(table.line_num, row) for row in table]
    except OSError as error:
        raise SpecError(f"cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SpecError(f"{path} is not CSV: {error}") from error
    header = table.fieldnames or []
    if not {"file", "time"} <= set(header):
        actual = shown(",".join(header)) or "nothing"
        raise SpecError(f"expected {path} to begin with file,time, found {actual}")
    times: dict[str, dt.datetime] = {}
    for line, row in rows:
        name = shown(Path((row["file"] or "").strip()).name)
        where = f"line {line} of {path}"
        try:
            taken = moment((row["time"] or "").strip())
        except ValueError as error:
            raise SpecError(f"{shown(str(error))} in {where}") from error
        if times.setdefault(name, taken) != taken:
            raise SpecError(
                f"expected one time for {name}, found another in {where}: leave one out"
            )
    return times


def _json_files(folder: Path, pattern: str) -> list[Path]:
    try:
        return sorted(file for file in folder.glob(pattern) if not file.name.startswith("."))
    except OSError as error:
        raise ProgressionError(f"cannot read {folder}: {error.strerror}") from error


def _is_report(document: object) -> bool:
    """Whether it is a course or a noise record, which may lie in the same folder."""
    kind = document.get("kind") if isinstance(document, dict) else None
    return isinstance(kind, str) and kind.startswith("infmap-kit ")


def _names_of_patient(patient: str) -> tuple[str, str]:
    return patient.strip(), stand_in(patient.strip().encode())


def _may_be_of(patient: str, document: object) -> bool:
    """Whether a document names this patient, or none."""
    stated = document.get("patient") if isinstance(document, dict) else None
    return not isinstance(stated, str) or stated in _names_of_patient(patient)


def _entries(document: object) -> list[Any]:
    return document if isinstance(document, list) else [document]


def _holds_severity(document: object) -> bool:
    """Whether it is a result, be it a damaged one, and no other JSON that lies in the folder."""
    keys = {"severity_percent", "severity_of"}
    return any(isinstance(entry, dict) and entry.keys() & keys for entry in _entries(document))


def _add_all(document: object, file: Path, results: list[Result], skipped: list[Skipped]) -> None:
    """Add what a file holds: all of it, or nothing where an entry is damaged."""
    good: list[Result] = []
    rejected: list[Skipped] = []
    for entry in _entries(document):
        _add(entry, file, good, rejected)
    results += good
    skipped += rejected


def _add(document: Any, file: Path, results: list[Result], skipped: list[Skipped]) -> None:
    fields = Fields(document, str(file))
    if "rejected" not in fields:
        results.append(parse_result(document, file))
        return
    rejected = fields.inner("rejected")
    name = Path(fields.text("source", file.name)).name
    reason = f"rejected: {rejected.text('code', '?')}: {rejected.text('reason', '')}"
    skipped.append(Skipped(name=name, reason=reason))


def names_of(results: Iterable[Result], *, most: int = 3) -> str:
    """A few results by name."""
    names = [result.name for result in results]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
