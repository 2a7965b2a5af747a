"""The table of images and GPUs, and what is looked up in it."""

from __future__ import annotations

import re
from pathlib import Path

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
    [
        ("10.5.0.18", "24.10"),
        ("10.16.1.11", "26.05"),
        ("11.2.1.2", "26.08"),
        ("11.3.0.99", "26.09"),
    ],
)
def test_plans_go_into_the_newest_image_of_their_tensorrt(version: str, release: str) -> None:
    assert image_for(version).release == release


@pytest.mark.parametrize("version", ["9.3.0", "11.2.1.7", "11.2.1", "11.20.1", "10.50"])
def test_plans_that_no_image_loads_are_refused(version: str) -> None:
    with pytest.raises(HostMismatch, match=rf"{version}: build them with.*11.2.1.2 \(26.08\)"):
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
    listing = (
        "NVIDIA GeForce RTX 2080 Ti, 7.5, 580.95.05, 11264\nNVIDIA T4, 7.5, 580.95.05, 15360\n"
    )
    assert parse_gpu(listing) == PresentGpu(
        name="NVIDIA GeForce RTX 2080 Ti", capability="7.5", driver=580, memory_mib=11264
    )
    jetson = parse_gpu("Orin (nvgpu), 8.7, 540.4.0, [N/A]\n")
    assert (jetson.capability, jetson.memory_mib) == ("8.7", 0)
    with pytest.raises(ValueError, match="."):
        parse_gpu("No devices were found\n")


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("11.1.0.106", "26.10"),
        ("11.2.1.7", "26.10"),
        ("10.13.3.9", "26.05"),
        ("10.16.1.11", "26.05"),
    ],
)
def test_version_compatible_plans_go_into_the_newest_image_of_their_major_version(
    version: str, release: str
) -> None:
    assert image_for(version, version_compatible=True).release == release


@pytest.mark.parametrize("version", ["11.5.0.1", "12.0.0.1", "9.3.0"])
def test_version_compatible_plans_go_into_no_older_image(version: str) -> None:
    with pytest.raises(HostMismatch, match="no known Triton image"):
        image_for(version, version_compatible=True)


@pytest.mark.parametrize(
    ("name", "older"),
    [("NVIDIA GeForce RTX 4090", False), ("NVIDIA H100 80GB HBM3", True), ("Tesla T4", True)],
)
def test_which_gpus_take_older_drivers(name: str, older: bool) -> None:
    gpu = PresentGpu(name=name, capability="8.9", driver=550)
    assert gpu.takes_older_drivers is older


DOCUMENT = (Path(__file__).parents[3] / "docs" / "gpu-host.md").read_text(encoding="utf-8")


def test_what_the_documentation_installs_is_what_pip_finds_and_an_image_loads() -> None:
    named = set(re.findall(r"tensorrt==[^' `]+", DOCUMENT))
    assert named
    assert named <= {image.requirement for image in images()}


def test_wheels_for_a_host_without_internet_are_built_and_not_downloaded() -> None:
    """PyPI's tensorrt_cu13_libs is a source package that fetches its wheel from NVIDIA's index.

    `pip download` brings that package, which is of no use without internet; `pip wheel` brings the wheel.
    """
    assert "pip wheel 'infmap-kit[tensorrt]'" in DOCUMENT
    assert "pip download" not in DOCUMENT
