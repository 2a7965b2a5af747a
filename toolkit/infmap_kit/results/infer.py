"""`infmap-kit infer`: from files to infection maps, JSON and DICOM; a file that fails stops no other."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from infmap_kit import __version__
from infmap_kit.answer.answer import Answer
from infmap_kit.errors import InputRejected
from infmap_kit.imaging.dicom.identity import stand_in
from infmap_kit.imaging.radiograph import Radiograph
from infmap_kit.imaging.readers import decode_radiograph, read_content
from infmap_kit.model.files import writing_to
from infmap_kit.model.identity import ModelIdentity
from infmap_kit.results.folder import CAM, NamedFile, ResultOptions, ResultsFolder, SourceFile
from infmap_kit.results.journal import Journal
from infmap_kit.results.order import in_order
from infmap_kit.results.outcome import Outcome
from infmap_kit.triton.inference import find_infection
from infmap_kit.triton.infmap_model import InfmapModel

_MOST_THREADS = 4
"""Most threads that decode, and most that encode: beyond, memory grows and the model is waited for."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Read:
    """A file that was read, and decoded or rejected in so many milliseconds.

    Where an earlier run may have answered about it, it is not decoded yet, and ``content`` is kept.
    """

    file: SourceFile
    content: bytes = b""
    decoded: tuple[Radiograph | InputRejected, float] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Answered:
    """A file whose results are to be written: its radiograph with the answer, or its rejection."""

    named: NamedFile
    made_by: str
    result: tuple[Radiograph, Answer] | InputRejected


class InferenceRun:
    """Files on their way to results; iterating gives one outcome for each file, in their order.

    While the model answers about one file, the next ones are decoded, and the results of those before are
    encoded and written. How many are on their way is bounded, and so is memory, whatever the number of files.
    What was written is noted in the folder (:mod:`infmap_kit.results.journal`), so that a run that was
    interrupted can be gone on with.

    Parameters
    ----------
    files
        Pictures; whatever cannot be used is rejected by name and the others go on.
    output
        Folder for the results, made when it is missing.
    model
        The model to ask; one thread asks it, about one file after the other.
    options
        Results to write; a map and a JSON when not given.
    resume
        Whether results that are there already, made of the same content by the same model, options and version
        of infmap-kit, are kept; else they are made again.

    Raises
    ------
    ServerError
        When the server does not answer, at the start or on the way; what was written until then is whole.
    InfmapError
        When the output folder cannot be used.
    MissingDependency
        On the way, when DICOM is asked for and highdicom is not installed.
    """

    def __init__(
        self,
        files: Sequence[Path],
        output: Path,
        model: InfmapModel,
        *,
        options: ResultOptions | None = None,
        resume: bool = True,
    ) -> None:
        self._files = files
        self._model = model
        # Before any file is read, so that a server that is missing is noticed at once.
        identity = model.model()
        self._options = options or ResultOptions()
        self._made_by = _digest(identity, self._options)
        self._results = ResultsFolder(output, self._options, finding=identity.finding, files=files)
        with writing_to(output):
            self._journal = Journal(output, resume=resume)
        self._done = 0
        self._counting = threading.Lock()

    @property
    def done(self) -> int:
        """Files that were rejected, or whose results are there whole."""
        return self._done

    def __iter__(self) -> Generator[Outcome, None, None]:
        """Make the results; whoever stops before the end closes the iterator."""
        threads = min(os.cpu_count() or 1, _MOST_THREADS)
        readers = ThreadPoolExecutor(threads, thread_name_prefix="read")
        writers = ThreadPoolExecutor(threads, thread_name_prefix="write")
        try:
            read = in_order(readers, self._read, self._files, ahead=threads)
            yield from in_order(writers, self._write, map(self._answer, read), ahead=threads)
        finally:
            readers.shutdown(cancel_futures=True)
            # What was answered is written, after Ctrl-C too.
            writers.shutdown()

    def _read(self, path: Path) -> _Read:
        try:
            content = read_content(path)
        except InputRejected as rejection:
            return _Read(file=SourceFile.of(path, b""), decoded=(rejection, 0.0))
        file = SourceFile.of(path, content)
        if self._journal.may_know(file.identity, self._made_by):
            return _Read(file=file, content=content)
        return _Read(file=file, decoded=self._decode(path, content))

    def _decode(self, path: Path, content: bytes) -> tuple[Radiograph | InputRejected, float]:
        started = time.perf_counter()
        decoded: Radiograph | InputRejected
        try:
            decoded = decode_radiograph(
                content,
                path.name,
                secondary_capture=self._options.secondary_capture,
                file=str(path),
            )
        except InputRejected as rejection:
            decoded = rejection
        return decoded, 1e3 * (time.perf_counter() - started)

    def _answer(self, read: _Read) -> _Answered | Outcome:
        # A name depends on those that were taken before it, so they are given in the order of the files.
        named = self._results.named(read.file)
        entry = self._journal.find(named.stem, read.file.identity, self._made_by)
        if entry is not None and entry.document.get("source", named.shown) == named.shown:
            return Outcome.of_entry(
                entry, self._results.folder, source=read.file.path, called=named.called
            )
        decoded, decode_ms = read.decoded or self._decode(read.file.path, read.content)
        if isinstance(decoded, InputRejected):
            return _Answered(named=named, made_by=self._made_by, result=decoded)
        try:
            answer = find_infection(
                decoded,
                self._model,
                painted=self._options.painted,
                explained=CAM in self._options.formats,
                mirrored=self._options.mirrored,
                exact=self._options.exact,
            )
        except InputRejected as rejection:
            return _Answered(named=named, made_by=self._made_by, result=rejection)
        self._made_by = _digest(answer.model, self._options)
        result = decoded, answer.after(decode=decode_ms)
        return _Answered(named=named, made_by=self._made_by, result=result)

    def _write(self, answered: _Answered | Outcome) -> Outcome:
        outcome = answered if isinstance(answered, Outcome) else self._write_results(answered)
        with self._counting:
            self._done += 1
        return outcome

    def _write_results(self, answered: _Answered) -> Outcome:
        named = answered.named
        if isinstance(answered.result, InputRejected):
            outcome = self._results.write_rejection(named, answered.result)
        else:
            outcome = self._results.write_finding(named, *answered.result)
        if outcome.paths:
            with writing_to(self._results.folder):
                self._journal.add(
                    outcome.as_entry(
                        named.stem, made_of=named.file.identity, made_by=answered.made_by
                    )
                )
        return outcome


def _digest(model: ModelIdentity, options: ResultOptions) -> str:
    """SHA-256 of everything besides a file's content and name that its results hang on."""
    stated = {
        "model": dict(model),
        "formats": sorted(set(options.formats)),
        "identify": options.identify,
        "secondary_capture": options.secondary_capture,
        "mirrored": options.mirrored,
        "language": options.language,
        "capture": options.capture,
        # Another secret gives other stand-ins for UIDs.
        "stand_in": stand_in(b""),
        "infmap-kit": __version__,
    }
    return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()
