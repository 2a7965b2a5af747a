"""The NVIDIA GPU of this machine, as its driver reports it."""

from __future__ import annotations

import dataclasses
import os
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
    memory_mib
        Memory of the GPU in MiB; 0 where the driver does not tell, as on a Jetson.
    """

    name: str
    capability: str
    driver: int
    memory_mib: int = 0

    @property
    def takes_older_drivers(self) -> bool:
        """Whether CUDA's compatibility package lets a newer image run on an older branch of the driver.

        NVIDIA supports that on data-centre GPUs and some workstation GPUs, never on GeForce ("CUDA
        Compatibility", forward compatibility).
        """
        return "geforce" not in self.name.lower()


def has_gpu() -> bool:
    """Whether NVIDIA's driver runs here."""
    return any(sign.exists() for sign in _SIGNS)


def gpus_here() -> list[str]:
    """The names in ``CUDA_VISIBLE_DEVICES`` of the GPUs that this process may use; none without a driver."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name.strip() not in ("", "-1")]
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    result = subprocess.run(  # noqa: S603  # constant arguments
        [tool, "--list-gpus"], capture_output=True, text=True, check=False
    )
    return [str(i) for i, _ in enumerate(filter(None, result.stdout.splitlines()))]


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
    command = [
        tool,
        "--query-gpu=name,compute_cap,driver_version,memory.total",
        "--format=csv,noheader,nounits",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # constant arguments
    try:
        return parse_gpu(result.stdout)
    except ValueError as error:
        reason = (result.stderr or result.stdout).strip().partition("\n")[0]
        raise HostMismatch(f"nvidia-smi does not say which GPU is here: {reason}") from error


def used_memory_mib() -> int:
    """Memory in use on the first GPU, of all programs together, in MiB; 0 where the driver does not tell.

    Raises
    ------
    HostMismatch
        When there is no GPU.
    """
    tool = shutil.which("nvidia-smi")
    if tool is None:
        raise HostMismatch(
            "no NVIDIA GPU is here, or its driver lacks nvidia-smi: run this on the GPU host"
        )
    command = [tool, "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # constant arguments
    used = result.stdout.partition("\n")[0].strip()
    return int(used) if used.isdigit() else 0


def parse_gpu(listing: str) -> PresentGpu:
    """Read the first line of nvidia-smi's ``name,compute_cap,driver_version,memory.total``, without units.

    Raises
    ------
    ValueError
        When it is no such line.
    """
    name, capability, driver, memory = (
        field.strip() for field in listing.partition("\n")[0].rsplit(",", 3)
    )
    float(capability)
    return PresentGpu(
        name=name,
        capability=capability,
        driver=int(driver.partition(".")[0]),
        memory_mib=int(memory) if memory.isdigit() else 0,
    )
