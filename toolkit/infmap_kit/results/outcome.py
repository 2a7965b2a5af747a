"""The outcome of one file, for people, for scripts, and for a later run that goes on."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Self

from infmap_kit.errors import InputRejected
from infmap_kit.imaging.radiograph import rejection_document
from infmap_kit.model.files import sha256_of
from infmap_kit.results.journal import Entry
from infmap_kit.text import one_line


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The outcome of one file: an answer, or a rejection.

    It holds no pixels, so that many may be kept in memory.

    Parameters
    ----------
    source
        The file.
    called
        Its name in results: its path, or a stand-in for a DICOM file.
    rejection
        Why the file was rejected; ``None`` for an answer.
    document
        The answer's JSON; empty for a rejected file.
    map_path, cam_path, json_path, view_paths, dicom_paths
        The files that were written.
    kept
        Whether an earlier run wrote them.
    """

    source: Path
    called: str
    rejection: InputRejected | None = None
    document: dict[str, Any] = dataclasses.field(default_factory=dict)
    map_path: Path | None = None
    cam_path: Path | None = None
    json_path: Path | None = None
    view_paths: tuple[Path, ...] = ()
    dicom_paths: tuple[Path, ...] = ()
    kept: bool = False

    @property
    def paths(self) -> list[Path]:
        """Every file that was written."""
        pictures = (self.map_path, self.cam_path, self.json_path)
        written = [path for path in pictures if path is not None]
        return [*written, *self.view_paths, *self.dicom_paths]

    @property
    def doubts(self) -> list[str]:
        """A line about each warning: of the file, of its look, of the model, and of unwritten results."""
        return [
            f"{warning['code']}  {one_line(self.called)}: {warning['text']}"
            for warning in self.document.get("warnings", [])
        ]

    def as_json(self) -> dict[str, Any]:
        """The outcome for scripts, with the paths of what was written."""
        document = {**self.document, "source": self.called}
        if self.rejection is not None:
            document |= rejected_document(self.rejection, source=self.called)
        if self.map_path is not None:
            document["infection_map"] = str(self.map_path)
        if self.cam_path is not None:
            document["activation_map"] = str(self.cam_path)
        if self.dicom_paths:
            document["dicom"] = [str(path) for path in self.dicom_paths]
        return document

    def as_entry(self, stem: str, *, made_of: str, made_by: str) -> Entry:
        """The outcome for a journal; the parameters are those of :class:`~infmap_kit.results.journal.Entry`."""
        rejection = self.rejection
        kinds = {"map": self.map_path, "cam": self.cam_path, "json": self.json_path}
        written = {kind: [path.name] for kind, path in kinds.items() if path is not None}
        return Entry(
            stem=stem,
            made_of=made_of,
            made_by=made_by,
            document=self.document,
            rejected={} if rejection is None else rejection_document(rejection),
            written={
                **written,
                "view": [path.name for path in self.view_paths],
                "dicom": [path.name for path in self.dicom_paths],
            },
            sha256={path.name: sha256_of(path) for path in self.paths},
        )

    @classmethod
    def of_entry(cls, entry: Entry, folder: Path, *, source: Path, called: str) -> Self:
        """The outcome of an earlier run, in a folder of results, for a file that is now under this path."""
        found = entry.rejected
        rejection = found and InputRejected(
            found["code"], found["reason"], found=found["found"], file=called
        )
        paths = {kind: [folder / name for name in names] for kind, names in entry.written.items()}
        first = {kind: one[0] if one else None for kind, one in paths.items()}
        return cls(
            source=source,
            called=called,
            rejection=rejection or None,
            document=entry.document,
            map_path=first.get("map"),
            cam_path=first.get("cam"),
            json_path=first.get("json"),
            view_paths=tuple(paths.get("view", ())),
            dicom_paths=tuple(paths.get("dicom", ())),
            kept=True,
        )


def rejected_document(rejection: InputRejected, *, source: str) -> dict[str, Any]:
    """The JSON of a file that was rejected, as its line and its file in a folder of results have it."""
    return {"source": source, "rejected": rejection_document(rejection)}
