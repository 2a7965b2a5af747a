"""The inputs of a cohort (folders, files, lists, a DICOMDIR, a PACS, an object store) as locators."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from infmap_kit.cohort.dicomweb import Query, search
from infmap_kit.cohort.sources import file_system, scheme_of
from infmap_kit.errors import InfmapError, ServerError
from infmap_kit.imaging.files import PICTURE_SUFFIXES, each_picture

LIST_COLUMN = "path"
"""Column of a list that holds the locators."""

_MOST_RECORDS = 10**7


def locators_of(text: str, query: Query) -> Iterator[bytes]:
    """Locator of each radiograph that one INPUT of the command line stands for.

    Parameters
    ----------
    text
        A folder or a picture; a list, ``.csv`` or ``.parquet``; a ``DICOMDIR``; the root of a DICOMweb,
        ``http(s)://…``; or another URL of fsspec, such as ``s3://bucket/prefix``.
    query
        Search for radiographs in a DICOMweb.

    Raises
    ------
    InfmapError
        When a list or a DICOMDIR cannot be read.
    ServerError
        When a PACS or a store does not answer.
    """
    scheme, path = scheme_of(os.fsencode(text)), Path(text)
    if scheme in ("http", "https"):
        yield from (address.encode() for address in search(text.rstrip("/"), query))
    elif scheme:
        yield from _objects(text, scheme)
    elif path.suffix.lower() in _LISTS and not path.is_dir():
        yield from _listed(path)
    elif path.name.upper() == "DICOMDIR" and not path.is_dir():
        yield from map(_absolute, _directory_records(path))
    else:
        yield from map(_absolute, each_picture(path))


def _absolute(path: Path) -> bytes:
    # Workers may stand in another folder.
    return os.fsencode(path.absolute())


def _objects(url: str, scheme: str) -> Iterator[bytes]:
    """Objects under a prefix that are pictures by their suffix, or have none, as those of a PACS."""
    system = file_system(scheme)
    try:
        if system.isfile(url):
            yield url.encode()
            return
        found = False
        for folder, _, files in system.walk(url):
            for name in sorted(files):
                if Path(name).suffix.lower() in (*PICTURE_SUFFIXES, "") and name:
                    found = True
                    yield f"{scheme}://{folder.split('://')[-1]}/{name}".encode()
    except Exception as error:
        # As in sources: stores share no class of errors.
        raise ServerError(
            f"{url} cannot be listed: {' '.join(str(error).split())[:200]}"
        ) from error
    if not found:
        raise InfmapError(f"expected radiographs under {url}, found none")


def _listed(path: Path) -> Iterator[bytes]:
    """Locators of a list; relative ones count from the list's folder."""
    folder = path.absolute().parent
    for text in _LISTS[path.suffix.lower()](path):
        if text:
            yield os.fsencode(text) if scheme_of(os.fsencode(text)) else os.fsencode(folder / text)


def _csv_column(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = csv.DictReader(file)
            _require_column(path, rows.fieldnames or ())
            for row in rows:
                yield row[LIST_COLUMN] or ""
    except (OSError, csv.Error) as error:
        raise InfmapError(f"cannot read the list {path}: {error}") from error


def _parquet_column(path: Path) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _require_column(path, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=10_000, columns=[LIST_COLUMN]):
                yield from (str(text or "") for text in batch.column(0).to_pylist())
    except (OSError, pa.ArrowException) as error:
        raise InfmapError(f"cannot read the list {path}: {error}") from error


def _require_column(path: Path, columns: Any) -> None:
    if LIST_COLUMN not in columns:
        raise InfmapError(
            f"expected a column {LIST_COLUMN!r} in {path}, found {', '.join(columns) or 'none'}"
        )


_LISTS = {".csv": _csv_column, ".parquet": _parquet_column}


def _directory_records(path: Path) -> Iterator[Path]:
    """Files that a DICOMDIR refers to (DICOM PS3.3, F.3); none that lies outside its folder."""
    import pydicom

    folder = path.absolute().parent
    try:
        records = pydicom.dcmread(path).get("DirectoryRecordSequence", [])[:_MOST_RECORDS]
        named = [
            Path(*([parts] if isinstance(parts, str) else parts))
            for record in records
            if record.get("DirectoryRecordType") == "IMAGE"
            and (parts := record.get("ReferencedFileID"))
        ]
    except Exception as error:
        # pydicom names no closed set of errors for damaged files.
        raise InfmapError(f"cannot read the DICOMDIR {path}: {error}") from error
    for name in named:
        if not Path(os.path.realpath(folder / name)).is_relative_to(os.path.realpath(folder)):
            raise InfmapError(
                f"expected files below the folder of {path}, found {name} outside it: name the files themselves"
            )
        yield folder / name
