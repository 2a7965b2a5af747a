"""Weights of others in HDF5: numbers in this very file, and no more of them than networks have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from infmap_kit.errors import ExportError

MAX_WEIGHTS_BYTES = 2**31

# HDF5's own: deflate, shuffle, checksum; LZF comes with h5py. Others are libraries that HDF5 looks for on disk.
_FILTERS = (1, 2, 3, 32000)


def refuse_links(file: Any, source: Path) -> None:
    """Refuse an HDF5 file whose numbers lie in other files, or would take more memory than weights do."""
    import h5py

    claimed, seen, groups = 0, set(), [file]
    while groups:
        group = groups.pop()
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                kind = (
                    "a link into another file" if isinstance(link, h5py.ExternalLink) else "a link"
                )
                raise ExportError(
                    f"{source} holds {kind} ({name!r:.60}), as no weights do: save the model again"
                )
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                raise ExportError(
                    f"{source} holds {name!r:.60} in two places, as no weights do: save the model again"
                )
            seen.add(address)
            if isinstance(item, h5py.Group):
                groups.append(item)
                continue
            _refuse_elsewhere(item, name, source)
            claimed += item.nbytes
            if claimed > MAX_WEIGHTS_BYTES:
                raise ExportError(
                    f"{source} says that it holds more than {MAX_WEIGHTS_BYTES} bytes of weights, which no "
                    "network here has"
                )


def _refuse_elsewhere(item: Any, name: str, source: Path) -> None:
    import h5py

    if not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiub":
        raise ExportError(
            f"{source} holds {name!r:.60}, which are no numbers: save the model again"
        )
    if item.external or item.is_virtual:
        raise ExportError(
            f"{source} takes the numbers of {name!r:.60} from another file: save the model again"
        )
    layout = item.id.get_create_plist()
    used = [layout.get_filter(index)[0] for index in range(layout.get_nfilters())]
    if not set(used) <= set(_FILTERS):
        raise ExportError(
            f"{source} compresses {name!r:.60} in a way that Keras does not: save the model again"
        )
