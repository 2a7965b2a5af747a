"""What the pages speak of, as small as can be: radiographs, run folders, a repository, keys and a bundle."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx

from commands import run_command
from foreign_networks import small_unet
from infmap_kit.gate.pictures import synthetic_pictures
from infmap_kit.imaging.synthetic.folder import write_synthetic
from infmap_kit.release.export import publish
from infmap_kit.release.source import read_source
from infmap_kit.targets.embedded import EmbeddedOptions
from pages.blocks import ROOT
from small_network import small_classifier_run, small_lung_run, small_run


def lay_out(folder: Path, chest_dicoms: Sequence[Path]) -> Path:
    """Fill a new folder with what the pages' commands ask for, under the pages' own names."""
    folder.mkdir()
    write_synthetic(folder / "DATA", count=20, size=256, seed=0)
    shutil.copytree(folder / "DATA", folder / "set")
    _radiographs(folder, chest_dicoms)
    _networks(folder)
    _keys(folder)
    publish(
        read_source(folder / "training" / "demo_model"),
        folder / "model_repository",
        EmbeddedOptions(),
        pictures=synthetic_pictures(),
    )
    shutil.copytree(folder / "model_repository", folder / "published")
    return folder


def _radiographs(folder: Path, chest_dicoms: Sequence[Path]) -> None:
    drawn = sorted((folder / "DATA" / "images").iterdir())
    shutil.copy(chest_dicoms[0], folder / "chest.dcm")
    shutil.copy(next(path for path in chest_dicoms if "UNCR" in path.name), folder / "RG1_UNCR.dcm")
    shutil.copy(drawn[0], folder)
    (folder / "notes.txt").write_text("Nothing to see.\n", encoding="utf-8")
    for place in ("more", "pictures", "archive/chest"):
        (folder / place).mkdir(parents=True)
        for path in drawn[:3]:
            shutil.copy(path, folder / place)
    noise = np.random.default_rng(0).integers(0, 256, (256, 256), np.uint8)
    cv2.imwrite(str(folder / "knee.png"), noise)


def _networks(folder: Path) -> None:
    small_run(folder / "runs" / "unet")
    small_lung_run(folder / "runs" / "lungs")
    small_classifier_run(folder / "runs" / "classifier")
    # The pages show what these say of the radiographs above.
    for demo in ("demo_model", "demo_lungs"):
        shutil.copytree(ROOT / "training" / demo, folder / "training" / demo)
    onnx.save(small_unet().model(), folder / "smp.onnx")
    open_size = small_unet(classes=2, shape=("batch", 3, "height", "width"))
    output = ("batch", 2, "height", "width")
    onnx.save(open_size.model(classes=2, output=output), folder / "net.onnx")


def _keys(folder: Path) -> None:
    """A key of its own, and a bundle that it signed."""
    for command in (
        "openssl genpkey -algorithm ed25519 -out key.pem",
        "openssl pkey -in key.pem -pubout -out key.pub.pem",
    ):
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    bundle = ("bundle", "runs/unet", "--output", "unet.bundle", "--sign", "key.pem")
    run_command("infmap-kit", *bundle, cwd=folder).check_returncode()
