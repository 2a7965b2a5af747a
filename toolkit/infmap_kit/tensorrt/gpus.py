"""Triton images and NVIDIA GPUs: which engine goes into which image, on which GPU.

The facts stand in one data file, ``gpus.toml``.
"""

from __future__ import annotations

import dataclasses
import functools
import tomllib
from importlib.resources import files
from typing import Any

from infmap_kit.errors import HostMismatch

OLDEST_DRIVER = {"12": 525, "13": 580}
"""Major version of CUDA to the oldest branch of the driver that runs it (CUDA's release notes, "Minor Version
Compatibility"); the table of images is held to it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Image:
    """A Triton image.

    Parameters
    ----------
    release
        Year and month, such as ``"26.09"``.
    reference
        The image's name for ``docker pull``.
    tensorrt
        TensorRT's build in it, such as ``"11.2.1.2"``, or as much of it as is known.
    cuda
        CUDA's version in it.
    driver
        Oldest major version of NVIDIA's driver that it runs with.
    patched
        Whether the fixes of NVIDIA's known security bulletins are in it.
    onnxruntime
        ONNX Runtime's version in it; empty where it is not known.
    """

    release: str
    reference: str
    tensorrt: str
    cuda: str
    driver: int
    patched: bool
    onnxruntime: str = ""

    @property
    def requirement(self) -> str:
        """The requirement by which pip finds this image's TensorRT; without the build it would find none."""
        version = ".".join(self.tensorrt.split(".")[:3])
        return f"tensorrt=={version}.*"

    def loads(self, tensorrt: str, *, version_compatible: bool = False) -> bool:
        """Whether plans of a build of TensorRT, such as ``"11.2.1.2"``, load in this image.

        A version-compatible plan loads in every later version with the same major number (NVIDIA's developer
        guide, "Version Compatibility"); any other loads in its own build alone.
        """
        known, built = self.tensorrt.split("."), tensorrt.split(".")
        if version_compatible and known[0] == built[0]:
            return _numbers(known) >= _numbers(built[: len(known)])
        return built[: len(known)] == known


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gpu:
    """An NVIDIA GPU, or a generation of them.

    Parameters
    ----------
    name
        Name for people.
    capability
        CUDA compute capability, such as ``"7.5"``.
    """

    name: str
    capability: str

    @property
    def generation(self) -> str:
        """TensorRT's name of the generation, such as ``"SM75"``."""
        return "SM" + self.capability.replace(".", "")


def images() -> tuple[Image, ...]:
    """All known images, newest first."""
    table = _table()
    return tuple(
        Image(release=release, reference=f"{table['registry']}:{release}-py3", **facts)
        for release, facts in sorted(table["images"].items(), reverse=True)
    )


def recommended_image() -> Image:
    """The image to name when nothing else is known."""
    recommended = _table()["recommended"]
    return next(image for image in images() if image.release == recommended)


def image_for(tensorrt: str, *, version_compatible: bool = False, capability: str = "") -> Image:
    """The newest image that loads plans of a build of TensorRT; see :meth:`Image.loads`.

    Parameters
    ----------
    tensorrt
        The build.
    version_compatible
        Whether the plans are version-compatible.
    capability
        Compute capability of the GPU that they are for, where it is known.

    Raises
    ------
    HostMismatch
        When none is known, naming the versions that there are; always so for an integrated GPU.
    """
    if jetson := _table()["jetson"].get(capability):
        last = f"{_table()['registry']}:{jetson['last_image']}"
        raise HostMismatch(
            f"expected plans for a GPU that NVIDIA's images serve, found those of a {jetson['name']}, for "
            f"which no image is known: Triton's last for Jetson is {last}; where its TensorRT is {tensorrt}, "
            "name it with --image"
        )
    for image in images():
        if image.loads(tensorrt, version_compatible=version_compatible):
            return image
    known = ", ".join(f"{image.tensorrt} ({image.release})" for image in images())
    raise HostMismatch(
        f"no known Triton image loads plans of TensorRT {tensorrt}: build them with the version of an "
        f"image, {known}"
    )


def gpu(name: str) -> Gpu:
    """A GPU by its short name (``2080ti``), generation (``sm75``) or compute capability (``7.5``).

    Raises
    ------
    HostMismatch
        For a GPU that is not known, with the names that are.
    """
    plain = "".join(c for c in name.lower() if c.isalnum())
    known = _table()["gpus"]
    if plain in known:
        return Gpu(**known[plain])
    digits = plain.removeprefix("sm")
    if digits.isdigit() and len(digits) in (2, 3) and (plain.startswith("sm") or "." in name):
        capability = f"{digits[:-1]}.{digits[-1]}"
        return Gpu(name=f"compute capability {capability}", capability=capability)
    raise HostMismatch(
        f"expected a GPU of {', '.join(known)}, or a generation such as sm75, found {name!r}"
    )


def _numbers(version: list[str]) -> list[int]:
    return [int(part) if part.isdigit() else 0 for part in version]


@functools.cache
def _table() -> dict[str, Any]:
    text = files("infmap_kit.tensorrt").joinpath("gpus.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
