#!/usr/bin/env python
"""Pack what a machine with a GPU and without a network needs to prove the GPU path: wheels, graphs, code.

    .venv/bin/python scripts/gpu/pack.py gpu-parts --wheel onnx2torch

Bring the folder there, all of it at once, or part by part with `run.py` and `parts.json` each time, and
call `python3 run.py`.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import lzma
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path
from typing import IO, Any, cast

import cv2
import onnx

from infmap_kit.gate.pictures import pictures_of, radiographs_in
from infmap_kit.model.files import write_json
from infmap_kit.model.precision import Precision
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.targets.embedded import EmbeddedOptions
from infmap_kit.targets.onnxruntime import OnnxruntimeOptions
from infmap_kit.targets.target import TargetOptions

ROOT = Path(__file__).resolve().parents[2]
PLATFORMS = (
    "manylinux_2_28_x86_64",
    "manylinux_2_27_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
)


def main() -> None:
    """Fill a folder with everything, and write it as parts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("output", type=Path)
    parser.add_argument(
        "--run", type=Path, default=ROOT / "training" / "demo_model", help="run folder or .onnx"
    )
    parser.add_argument("--int8", type=Path, help="the same network in Q/DQ INT8, an .onnx")
    parser.add_argument("--images", type=Path, help="radiographs; drawn ones are always there")
    parser.add_argument(
        "--server", type=Path, help="the server's wheel, or a folder with bin/tritonserver"
    )
    parser.add_argument(
        "--wheel",
        action="append",
        default=[],
        help="one more package, without what it needs, such as onnx2torch",
    )
    parser.add_argument(
        "--have", action="append", default=[], help="a package that the machine has already"
    )
    parser.add_argument(
        "--no-wheels", action="store_true", help="the machine has all packages already"
    )
    parser.add_argument("--python", default="3.12", help="Python's version there")
    parser.add_argument("--part-mib", type=float, default=57.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        payload = Path(scratch)
        _repositories(given.run, payload, served=given.server is not None)
        if given.int8 is not None:
            onnx.save(read_source(given.int8).segmentation, payload / "int8.onnx")
        if given.images is not None:
            (payload / "pictures").mkdir()
            for number, (_, picture) in enumerate(radiographs_in(given.images)):
                cv2.imwrite(str(payload / "pictures" / f"{number:04}.png"), picture)
        if given.server is not None:
            (payload / "server").mkdir()
            if given.server.is_dir():
                shutil.copytree(given.server, payload / "server", dirs_exist_ok=True)
            else:
                shutil.copy(given.server, payload / "server")
        _code(payload / "code")
        if not given.no_wheels:
            served = ["openvino"] if given.server is not None else []
            _wheels(payload / "wheels", given.python, [*given.wheel, *served], given.have)
        names = _parts(payload, given.output, round(given.part_mib * 2**20))
    shutil.copy(Path(__file__).with_name("run.py"), given.output)
    print(f"{len(names)} parts, run.py and parts.json are in {given.output}.")


def _repositories(run: Path, payload: Path, *, served: bool) -> None:
    """Publish what Triton's own backend would load, and with a server what the one for CPUs does."""
    source, pictures = read_source(run), pictures_of(run)
    published: dict[str, TargetOptions] = {
        "onnxruntime-fp32": OnnxruntimeOptions(precision=Precision.FP32),
        "onnxruntime-fp16": OnnxruntimeOptions(precision=Precision.FP16),
    }
    if served:
        published["embedded-fp32"] = EmbeddedOptions(precision=Precision.FP32)
    for name, options in published.items():
        print(f"{name} ...")
        publish(source, payload / "repositories" / name, options, pictures=pictures)


def _code(folder: Path) -> None:
    """The tree's own packages and these scripts, without what was compiled of them."""
    leave = shutil.ignore_patterns("__pycache__")
    for name in ("toolkit/infmap_kit", "training/infmap_train"):
        shutil.copytree(ROOT / name, folder / name, ignore=leave)
    shutil.copytree(Path(__file__).parent, folder / "gpu", ignore=leave)


def _wheels(folder: Path, python: str, more: list[str], have: list[str]) -> None:
    """Download what the toolkit and its graphs need; ONNX Runtime is the one for GPUs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = ROOT / "constraints.txt"
    needed = [*project["dependencies"], *project["optional-dependencies"]["export"]]
    wanted = [text for text in needed if _name(text) != "onnxruntime"]
    runtime = re.search(r"^onnxruntime==(\S+)", pinned.read_text(encoding="utf-8"), re.MULTILINE)
    wanted.append(f"onnxruntime-gpu=={runtime[1]}" if runtime else "onnxruntime-gpu")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder)]
    command += ["--only-binary=:all:", "--python-version", python, "--constraint", str(pinned)]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    subprocess.run([*command, *wanted], check=True)  # noqa: S603  # our own command line
    if more:
        subprocess.run([*command, "--no-deps", *more], check=True)  # noqa: S603
    for wheel in folder.glob("*.whl"):
        if _name(wheel.name.partition("-")[0]) in {_name(text) for text in have}:
            wheel.unlink()
        else:
            _store(wheel)


def _name(requirement: str) -> str:
    """A requirement's package, as the index writes it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0]).lower()


def _store(wheel: Path) -> None:
    """Write a wheel anew without compression, which the archive does better for all of them together."""
    beside = wheel.with_suffix(".stored")
    with (
        zipfile.ZipFile(wheel) as packed,
        zipfile.ZipFile(beside, "w", zipfile.ZIP_STORED) as stored,
    ):
        for member in packed.infolist():
            stored.writestr(member, packed.read(member), zipfile.ZIP_STORED)
    beside.replace(wheel)


class Parts(io.RawIOBase):
    """A file that is written as several of at most so many bytes."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder, self._size, self._left = folder, size, 0
        self._whole = hashlib.sha256()
        self.names: list[str] = []

    def writable(self) -> bool:
        """As a stream must say."""
        return True

    def write(self, content: Any) -> int:
        """Append, and begin a part wherever one is full."""
        self._whole.update(content)
        rest = memoryview(content)
        while rest:
            if not self._left:
                self.names.append(f"part-{len(self.names):02}")
                self._left = self._size
            with (self._folder / self.names[-1]).open("ab") as part:
                part.write(rest[: self._left])
            taken = min(self._left, len(rest))
            self._left, rest = self._left - taken, rest[taken:]
        return len(content)

    @property
    def sha256(self) -> str:
        """Of all parts, one after the other."""
        return self._whole.hexdigest()


def _parts(payload: Path, output: Path, size: int) -> list[str]:
    output.mkdir(parents=True, exist_ok=True)
    for old in output.glob("part-*"):
        old.unlink()
    parts = Parts(output, size)
    # A higher preset saves one part in a hundred and takes twice as long.
    with (
        lzma.open(cast(IO[bytes], parts), "wb", preset=0) as packed,
        tarfile.open(fileobj=packed, mode="w|") as archive,
    ):
        archive.add(payload, arcname=".")
    digests = {
        name: hashlib.sha256((output / name).read_bytes()).hexdigest() for name in parts.names
    }
    write_json(output / "parts.json", {"sha256": parts.sha256, "parts": digests})
    return parts.names


if __name__ == "__main__":
    main()
