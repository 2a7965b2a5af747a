"""The table of images and GPUs, and what is looked up in it."""

from __future__ import annotations

import pytest

from infmap_kit.errors import HostMismatch
from infmap_kit.tensorrt.gpus import gpu, image_for, images, recommended_image
from infmap_kit.tensorrt.present_gpu import PresentGpu, parse_gpu


def test_every_image_is_complete_and_the_recommended_one_is_patched() -> None:
    assert [image.release for image in images()] == sorted(
        (image.release for image in images()), reverse=True
    )
    assert all(image.reference.endswith(f":{image.release}-py3") for image in images())
    assert recommended_image().patched


@pytest.mark.parametrize(
    ("version", "release"),
    [("10.5.0", "24.10"), ("10.16.1.11", "26.05"), ("11.2.1", "26.08"), ("11.3.0.14", "26.09")],
)
def test_plans_go_into_the_newest_image_of_their_tensorrt(version: str, release: str) -> None:
    assert image_for(version).release == release


@pytest.mark.parametrize("version", ["9.3.0", "11.20.1", "10.50"])
def test_plans_that_no_image_loads_are_refused(version: str) -> None:
    with pytest.raises(HostMismatch, match=rf"{version}: build them with.*11.2.1 \(26.08\)"):
        image_for(version)


@pytest.mark.parametrize(
    ("name", "generation"),
    [
        ("2080ti", "SM75"),
        ("T4", "SM75"),
        ("A10", "SM86"),
        ("l4", "SM89"),
        ("sm86", "SM86"),
        ("8.0", "SM80"),
        ("SM120", "SM120"),
    ],
)
def test_gpus_by_name_generation_and_capability(name: str, generation: str) -> None:
    assert gpu(name).generation == generation


@pytest.mark.parametrize("name", ["", "voodoo", "75", "sm", "sm7", "sm75x"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(HostMismatch, match="2080ti.*such as sm75, found"):
        gpu(name)


def test_the_drivers_listing_is_read() -> None:
    present = parse_gpu("NVIDIA GeForce RTX 2080 Ti, 7.5, 580.95.05\nNVIDIA T4, 7.5, 580.95.05\n")
    assert present == PresentGpu(name="NVIDIA GeForce RTX 2080 Ti", capability="7.5", driver=580)
    with pytest.raises(ValueError, match="."):
        parse_gpu("No devices were found\n")
