"""A folder of results: PNG, JSON and DICOM of each file, with as much of its identity as is allowed."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from infmap_kit.answer.answer import Answer
from infmap_kit.errors import InfmapError, InputRejected
from infmap_kit.imaging.colour import encode_png
from infmap_kit.imaging.dicom.dataset import text_of
from infmap_kit.imaging.dicom.identity import hashed_uid, stand_in
from infmap_kit.imaging.dicom.reader import read_tags
from infmap_kit.imaging.radiograph import InputWarning, Radiograph, Reason
from infmap_kit.imaging.readers import is_dicom
from infmap_kit.model.files import shortened, write_together, writing_to
from infmap_kit.model.finding import COVID_19, FindingSpec
from infmap_kit.results.dicom.results import (
    USUAL_KINDS,
    ResultKind,
    dicom_results,
    rejection_report,
)
from infmap_kit.results.document import finding_document
from infmap_kit.results.outcome import Outcome, rejected_document
from infmap_kit.results.sheet.sheet import Capture
from infmap_kit.results.view import view_pictures
from infmap_kit.results.words.words import ENGLISH, Words
from infmap_kit.text import json_bytes

if TYPE_CHECKING:
    from pydicom import Dataset

PNG, JSON, DICOM, CAM, VIEW = "png", "json", "dicom", "cam", "view"
_SUFFIX_BYTES = 32
"""Room for a number and the longest suffix, ``.activation_map.png``."""
FORMATS = (PNG, JSON, DICOM, *ResultKind, CAM, VIEW)
"""Values of `--format`; ``dicom`` is SC, SEG and SR, ``cam`` a classifier's map, ``view`` for a viewer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResultOptions:
    """Options of the results: which are written, and whether they may identify the radiograph.

    Parameters
    ----------
    formats
        Members of ``FORMATS``.
    identify
        Whether results may carry UIDs and the names of DICOM files.
    secondary_capture
        Whether DICOM secondary captures of radiographs are read.
    mirrored
        Whether the model is asked about the mirror image too.
    language
        ISO 639-1 code of the words of DICOM results.
    capture
        What a Secondary Capture that is written shows: one of :class:`~infmap_kit.results.sheet.sheet.Capture`.

    Raises
    ------
    InfmapError
        Naming the formats, languages or captures that there are.
    """

    formats: tuple[str, ...] = (PNG, JSON)
    identify: bool = False
    secondary_capture: bool = False
    mirrored: bool = False
    language: str = ENGLISH
    capture: str = Capture.BESIDE

    def __post_init__(self) -> None:
        unknown = [name for name in self.formats if name not in FORMATS]
        if unknown or not self.formats:
            actual = ", ".join(unknown) or "nothing"
            raise InfmapError(
                f"expected --format to be some of {','.join(FORMATS)}, found {actual}"
            )
        if self.capture not in list(Capture):
            raise InfmapError(
                f"expected --capture of {', '.join(Capture)}, found {self.capture!r:.40}"
            )
        Words(self.language)

    @property
    def painted(self) -> bool:
        """Whether the map is needed."""
        return PNG in self.formats or ResultKind.SECONDARY_CAPTURE in self.kinds

    @property
    def exact(self) -> bool:
        """Whether the probabilities are needed in all their digits: kept in 16 bits, or at another size."""
        return VIEW in self.formats or bool({*self.kinds} - {ResultKind.STRUCTURED_REPORT})

    @property
    def kinds(self) -> tuple[ResultKind, ...]:
        """The kinds of the DICOM objects that are written."""
        usual = USUAL_KINDS if DICOM in self.formats else ()
        return tuple(kind for kind in ResultKind if kind in (*self.formats, *usual))


DICOM_SUFFIXES = (".dcm", ".dicom", ".dic", ".ima")
"""Suffixes, in small letters, by which a file claims to be DICOM."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceFile:
    """The file that a result is of, with everything that the result's name is made from.

    Parameters
    ----------
    path
        The file.
    sha256
        SHA-256 of its content, as far as it could be read.
    unnamed
        Whether it is DICOM, or claims to be: its name is not for results.
    header
        The tags of a DICOM file; ``None`` where they cannot be read.
    """

    path: Path
    sha256: str
    unnamed: bool
    header: Dataset | None

    @property
    def identity(self) -> str:
        """Stand-in for the content: with a key, only who has the key finds the file by it."""
        return stand_in(self.sha256.encode())

    @classmethod
    def of(cls, path: Path, content: bytes) -> Self:
        """The file of a path, with its content as far as it could be read."""
        header: Dataset | None = None
        if dicom := is_dicom(content):
            with contextlib.suppress(InputRejected):
                header = read_tags(content)
        # A damaged file may have lost what DICOM begins with, but not its name.
        unnamed = dicom or path.suffix.lower() in DICOM_SUFFIXES
        digest = hashlib.sha256(content).hexdigest()
        return cls(path=path, sha256=digest, unnamed=unnamed, header=header)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NamedFile:
    """A file, and how it is called in results.

    Parameters
    ----------
    file
        The file.
    called
        Its path, or a stand-in for a DICOM file.
    shown
        What its JSON calls it: without the folder, where no other file has its name.
    stem
        Beginning of the names of its results.
    """

    file: SourceFile
    called: str
    shown: str
    stem: str


class ResultsFolder:
    """A folder in which results are written.

    Parameters
    ----------
    folder
        The folder; made when something is written.
    options
        Results to write.
    finding
        The finding that was not looked for in a file that is rejected.
    files
        Every file to come: where several have one name, results hold it with its folder.
    """

    def __init__(
        self,
        folder: Path,
        options: ResultOptions,
        *,
        finding: FindingSpec = COVID_19,
        files: Sequence[Path] = (),
    ) -> None:
        self._files_of = Counter(file.name for file in files)
        self._finding = finding
        self.folder = folder
        self.options = options
        self._taken: set[str] = set()

    def named(self, file: SourceFile) -> NamedFile:
        """Give a file's results a name that is free; the same ones for the same files in the same order.

        The name of a DICOM file is often the patient's, or a UID: it is replaced like the UIDs are.
        """
        path, called = file.path, str(file.path)
        if not file.unnamed or self.options.identify:
            stem = self._stem(path.stem, path.name.replace(".", "_"))
        else:
            uid = text_of(file.header, "SOPInstanceUID") if file.header is not None else ""
            digest = hashed_uid(uid).partition(":")[2] if uid else file.sha256
            called = stem = self._stem(f"dicom_{digest[:16]}")
        shown = called if self._files_of[path.name] > 1 else Path(called).name
        return NamedFile(file=file, called=called, shown=shown, stem=stem)

    def write_finding(self, named: NamedFile, radiograph: Radiograph, answer: Answer) -> Outcome:
        """Write a model's answer about a radiograph; several threads may.

        Raises
        ------
        InfmapError
            When the folder cannot be written.
        MissingDependency
            When DICOM is asked for and highdicom is not installed.
        """
        formats, stem = self.options.formats, named.stem
        png = b""
        if PNG in formats and answer.infection_map is not None:
            encoding = time.perf_counter()
            png = encode_png(answer.infection_map)
            answer = answer.after(encode_png=1e3 * (time.perf_counter() - encoding))
        objects, warnings = self._objects(radiograph, answer)
        contents: dict[Path, bytes] = {}
        map_path = cam_path = json_path = None
        if png:
            map_path = self.folder / f"{stem}.infection_map.png"
            contents[map_path] = png
        if CAM in formats and answer.activation_map is not None:
            cam_path = self.folder / f"{stem}.activation_map.png"
            contents[cam_path] = encode_png(answer.activation_map)
        dicom_paths = self._add_objects(stem, objects, contents)
        document = finding_document(
            radiograph,
            answer,
            source=named.shown,
            infection_map=map_path,
            dicom=dicom_paths,
            warnings=warnings,
            identify=self.options.identify,
        )
        if cam_path is not None:
            document["activation_map"] = cam_path.name
        view_paths: dict[str, Path] = {}
        if VIEW in formats:
            pictures = view_pictures(named.file.path, radiograph, answer)
            view_paths = {name: self.folder / f"{stem}.{name}.png" for name in pictures.contents}
            contents |= {path: pictures.contents[name] for name, path in view_paths.items()}
            names = {name: path.name for name, path in view_paths.items()}
            document["view"] = {**names, **pictures.stated}
        if {JSON, VIEW} & set(formats):
            json_path = self.folder / f"{stem}.json"
            contents[json_path] = json_bytes(document)
        with writing_to(self.folder):
            # A map that has no JSON beside it could be taken for a whole result.
            write_together(contents, private=True)
        return Outcome(
            source=named.file.path,
            called=named.called,
            document=document,
            map_path=map_path,
            cam_path=cam_path,
            json_path=json_path,
            view_paths=tuple(view_paths.values()),
            dicom_paths=dicom_paths,
        )

    def write_rejection(self, named: NamedFile, rejection: InputRejected) -> Outcome:
        """Write why a file was refused: for a viewer, and as a DICOM report where one can be made.

        Raises
        ------
        InfmapError
            When the folder cannot be written.
        """
        source, header = named.file.path, named.file.header
        dicom_paths: tuple[Path, ...] = ()
        json_path: Path | None = None
        if VIEW in self.options.formats:
            json_path = self.folder / f"{named.stem}.json"
            with writing_to(self.folder):
                document = json_bytes(rejected_document(rejection, source=named.shown))
                write_together({json_path: document}, private=True)
        if header is not None and ResultKind.STRUCTURED_REPORT in self.options.kinds:
            # A file without a UID cannot be referred to; the rejection itself is reported all the same.
            with writing_to(self.folder), contextlib.suppress(InputRejected):
                report = rejection_report(
                    header, rejection, finding=self._finding, language=self.options.language
                )
                contents: dict[Path, bytes] = {}
                dicom_paths = self._add_objects(
                    named.stem, {ResultKind.STRUCTURED_REPORT: report}, contents
                )
                write_together(contents, private=True)
        if named.called != str(source):
            # The path is put before the reason, and would say what the results' names hide.
            rejection = InputRejected(
                rejection.code, rejection.reason, found=rejection.found, file=named.called
            )
        return Outcome(
            source=source,
            called=named.called,
            rejection=rejection,
            json_path=json_path,
            dicom_paths=dicom_paths,
        )

    def _objects(
        self, radiograph: Radiograph, answer: Answer
    ) -> tuple[dict[ResultKind, Dataset], tuple[InputWarning, ...]]:
        kinds = self.options.kinds
        if not kinds:
            return {}, ()
        try:
            written = dicom_results(
                radiograph.header,
                radiograph,
                answer,
                kinds=kinds,
                language=self.options.language,
                capture=Capture(self.options.capture),
            )
        except InputRejected as rejection:
            return {}, (InputWarning(Reason(rejection.code), rejection.reason),)
        return dict(zip(kinds, written, strict=True)), ()

    def _add_objects(
        self, stem: str, objects: dict[ResultKind, Dataset], contents: dict[Path, bytes]
    ) -> tuple[Path, ...]:
        paths = {kind: self.folder / f"{stem}.{kind}.dcm" for kind in objects}
        contents.update({path: _as_file(objects[kind]) for kind, path in paths.items()})
        return tuple(paths.values())

    def _stem(self, *candidates: str) -> str:
        """The first name that is free, or the first with a number; it leaves room for a suffix."""
        candidates = tuple(shortened(name, room_bytes=_SUFFIX_BYTES) for name in candidates)
        numbered = (f"{candidates[0]}_{number}" for number in range(2, len(self._taken) + 3))
        stem = next(name for name in (*candidates, *numbered) if name not in self._taken)
        self._taken.add(stem)
        return stem


def _as_file(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
