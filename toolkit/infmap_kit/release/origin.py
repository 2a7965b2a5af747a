"""What engines are compared with: a trained network that judges here, or what it said elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from infmap_kit.errors import BundleError
from infmap_kit.gate.pictures import Pictures, pictures_of
from infmap_kit.gate.runners import Runner
from infmap_kit.release.archive import is_archive
from infmap_kit.release.bundle import read_bundle
from infmap_kit.release.publish import reference_runner
from infmap_kit.release.source import Source, read_source, with_parts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origin:
    """A trained network with what it says of pictures: what engines are compared with.

    Parameters
    ----------
    source
        The network.
    pictures
        What is compared.
    reference
        Judges them.
    """

    source: Source
    pictures: Pictures
    reference: Runner


def read_origin(
    path: Path,
    gate_images: Path | None = None,
    *,
    parts: Mapping[str, Path | None] | None = None,
) -> Origin:
    """A run folder or model file that judges here, or a bundle that says what was judged elsewhere.

    Parameters
    ----------
    path
        Which.
    gate_images
        A folder of radiographs to judge instead of its own.
    parts
        Run folders of the networks that are served beside a run, by the parts' names; a bundle brings its own.

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
            return Origin(
                source=bundle.source, pictures=bundle.pictures, reference=bundle.reference
            )
        source = bundle.source
    else:
        source = with_parts(read_source(path), parts)
    pictures = pictures_of(path, gate_images)
    return Origin(source=source, pictures=pictures, reference=reference_runner(source))
