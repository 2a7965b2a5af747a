"""The origin that engines are compared with: a trained network here, or its predictions in a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from infmap_kit.errors import BundleError
from infmap_kit.gate.pictures import pictures_of
from infmap_kit.model.adapter import AS_IT_IS, ModelAdapter
from infmap_kit.release.archive import is_archive
from infmap_kit.release.bundle import read_bundle
from infmap_kit.release.publish import reference_runner
from infmap_kit.release.source import Origin, read_source, with_parts


def read_origin(
    path: Path,
    gate_images: Path | None = None,
    *,
    parts: Mapping[str, Path | None] | None = None,
    adapter: ModelAdapter = AS_IT_IS,
) -> Origin:
    """Read a run folder, a model file or a bundle.

    Parameters
    ----------
    path
        The folder or file.
    gate_images
        A folder of radiographs to compare on instead of its own.
    parts
        Run folders of the networks that are served beside a run, by the parts' names; a bundle brings its own.
    adapter
        As for :func:`~infmap_kit.release.source.read_source`; a bundle needs none.

    Raises
    ------
    InfmapError
        When it is none of them, or damaged.
    """
    if path.is_file() and is_archive(path):
        for name, run in (parts or {}).items():
            if run is not None:
                raise BundleError(f"{path} brings its own {name}, if any: leave --{name} out")
        bundle = read_bundle(path)
        if gate_images is None:
            return bundle
        source = bundle.source
    else:
        source = with_parts(read_source(path, adapter=adapter), parts)
    pictures = pictures_of(path, gate_images, source.contract.image_size)
    return Origin(source=source, pictures=pictures, reference=reference_runner(source))
