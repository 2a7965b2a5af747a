"""The host: what `doctor` finds, and card, driver and image against the table of them."""

from __future__ import annotations

from collections.abc import Iterator

from infmap_kit.errors import InfmapError
from infmap_kit.host.doctor import examine
from infmap_kit.host.host_checks import MIN_MEMORY_MIB, MIN_SHARED_MEMORY_MIB
from infmap_kit.serving.server import free_ports
from infmap_kit.site_acceptance.line import (
    NEEDS_A_GPU,
    NO_GPU_NEEDED,
    AcceptanceLine,
    judged,
    line_of_check,
    not_run,
)
from infmap_kit.site_acceptance.site import Site
from infmap_kit.targets.backends import on_gpu
from infmap_kit.targets.registry import find
from infmap_kit.tensorrt.gpus import OLDEST_DRIVER, images
from infmap_kit.tensorrt.present_gpu import PresentGpu, has_gpu, present_gpu
from infmap_kit.triton.repository import Manifest

_EXPECTED = {
    "Python": "a version that is supported",
    "server": "a Triton server that can be started",
    "target": "a server that has the repository's backend",
    "permissions": "leave to serve and to publish for this user, and to write for no stranger",
    "space": "room for one more release",
    "temporary folder": "room for the copies that are served",
    "open files": "as many as the server opens",
    "memory": f"{MIN_MEMORY_MIB} MiB or more",
    "shared memory": f"{MIN_SHARED_MEMORY_MIB} MiB or more",
    "ports": "free, or used by a Triton server",
    "bundle key": "the public key that new releases must be signed with",
    "bf16": "a CPU that computes in bf16",
    "TensorRT": "a build that one of the images has",
}
_NONE_NEEDED = "none needed"
_AS_PROVED = "the version that the engines were proved with"
_OF_THE_GPU = ("GPU", "plan", "GPU memory", "image", "driver")


def examine_host(site: Site) -> Iterator[AcceptanceLine]:
    """Check the host as `doctor` does, and the GPU by itself."""
    for check in examine(site.repository, free_ports(http=True)):
        # The GPU has lines of its own, and so have the files.
        if check.name not in (*_OF_THE_GPU, "repository", "gate"):
            yield line_of_check(check, _EXPECTED.get(check.name, _AS_PROVED))
    yield driver_table()
    yield from gpu_lines(site.manifest, present_gpu() if has_gpu() else None)


def driver_table() -> AcceptanceLine:
    """Check that the table of images names no driver that the image's CUDA is too new for."""
    wrong = [
        f"image {image.release} with CUDA {image.cuda} names driver {image.driver}"
        for image in images()
        if image.driver < OLDEST_DRIVER.get(image.cuda.partition(".")[0], 0)
    ]
    oldest = ", ".join(f"{driver} for CUDA {cuda}" for cuda, driver in OLDEST_DRIVER.items())
    expected = (
        f"infmap-kit's table of images names no driver that is too old for NVIDIA's CUDA ({oldest})"
    )
    found = f"{len(images())} images, each with a driver that is new enough"
    if wrong:
        found = f"{'; '.join(wrong)}: install infmap-kit again, and tell whoever supplied it"
    return judged("driver table", expected, found, good=not wrong)


def gpu_lines(manifest: Manifest, gpu: PresentGpu | None) -> Iterator[AcceptanceLine]:
    """Card, driver and image of a repository; ``None`` is a host without a GPU."""
    needed, target = on_gpu(manifest), find(manifest.target)
    card = manifest.built_with.get("gpu", "any NVIDIA GPU") if needed else _NONE_NEEDED
    if gpu is None:
        for name, expected in {
            "card": card,
            "driver": "as the image needs it",
            "image": "the one whose TensorRT built the plans",
        }.items():
            if needed:
                yield not_run(name, expected, NEEDS_A_GPU)
            else:
                yield not_run(name, _NONE_NEEDED, f"none is here; {NO_GPU_NEEDED}", required=False)
        return
    checks = [line_of_check(check) for check in target.gpu_checks(manifest, gpu)]
    wrong = [line for line in checks if line.stands_in_the_way]
    of_card = [line.found for line in wrong if line.name != "image"]
    memory = f", {gpu.memory_mib} MiB" if gpu.memory_mib else ""
    present = f"{gpu.name}, compute capability {gpu.capability}{memory}"
    yield judged("card", card, " ".join([present, *of_card]), good=not of_card)
    if not needed:
        reason = f"{gpu.driver} is here; {NO_GPU_NEEDED}"
        yield not_run("driver", _NONE_NEEDED, reason, required=False)
        yield not_run("image", _NONE_NEEDED, "no container serves it", required=False)
        return
    of_image = [line.found for line in checks if line.name == "image"]
    good = not any(line.name == "image" for line in wrong)
    yield judged("driver", "as the image needs it", " ".join(of_image), good=good)
    yield image_line(manifest)


def image_line(manifest: Manifest) -> AcceptanceLine:
    """Check that the table names the image that the plans were built for."""
    expected = manifest.built_with.get("image", "an image for the repository")
    try:
        found = find(manifest.target).image(manifest).reference
    except InfmapError as error:
        return judged("image", expected, str(error), good=False)
    named = manifest.built_with.get("image")
    return judged("image", expected, found, good=named in (None, found))
