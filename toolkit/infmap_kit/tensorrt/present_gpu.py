"""The NVIDIA GPU of this machine, as its driver reports it."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

from infmap_kit.errors import HostMismatch

_SIGNS = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidiactl"), Path("/dev/dxg"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class PresentGpu:
    """The first GPU here.

    Parameters
    ----------
    name
        NVIDIA's name of it.
    capability
        CUDA compute capability, such as ``"7.5"``.
    driver
        Major version of the driver.
    """

    name: str
    capability: str
    driver: int


def has_gpu() -> bool:
    """Whether NVIDIA's driver runs here."""
    return any(sign.exists() for sign in _SIGNS)


def present_gpu() -> PresentGpu:
    """Ask the driver's own tool.

    Raises
    ------
    HostMismatch
        When there is no GPU, or ``nvidia-smi`` does not report it.
    """
    tool = shutil.which("nvidia-smi")
    if tool is None:
        raise HostMismatch(
            "no NVIDIA GPU is here, or its driver lacks nvidia-smi: run this on the GPU host"
        )
    command = [tool, "--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # constant arguments
    try:
        return parse_gpu(result.stdout)
    except ValueError as error:
        reason = (result.stderr or result.stdout).strip().partition("\n")[0]
        raise HostMismatch(f"nvidia-smi does not say which GPU is here: {reason}") from error


def parse_gpu(listing: str) -> PresentGpu:
    """Read the first line of nvidia-smi's ``name,compute_cap,driver_version``.

    Raises
    ------
    ValueError
        When it is no such line.
    """
    name, capability, driver = (
        field.strip() for field in listing.partition("\n")[0].rsplit(",", 2)
    )
    float(capability)
    return PresentGpu(name=name, capability=capability, driver=int(driver.partition(".")[0]))
