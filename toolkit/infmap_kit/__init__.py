"""infmap-kit: COVID-19 infection maps from chest X-rays, served by Triton.

The names of ``__all__`` are the public API. Each is loaded when it is asked for first, so that importing the
package takes no time and needs no optional dependency. Everything else may change with any version.

For research use, not a medical device.
"""

import os
from typing import TYPE_CHECKING

from infmap_kit import telemetry
from infmap_kit.lazy import lazily

if TYPE_CHECKING:
    from infmap_kit.answer.answer import Answer as Finding
    from infmap_kit.errors import (
        BundleError,
        ExportError,
        GateFailed,
        HostMismatch,
        InfmapError,
        InputRejected,
        MissingDependency,
        ServerError,
        SpecError,
    )
    from infmap_kit.imaging.colour import infection_map
    from infmap_kit.imaging.network_input import network_input
    from infmap_kit.imaging.radiograph import Radiograph
    from infmap_kit.imaging.readers import read_radiograph
    from infmap_kit.model.spec import ModelSpec, NetworkSpec
    from infmap_kit.release.export import export_model
    from infmap_kit.release.verify import verify_repository
    from infmap_kit.results.dicom.results import dicom_results
    from infmap_kit.serving.in_process import open_repository
    from infmap_kit.serving.server import serving as serve
    from infmap_kit.triton.async_client import AsyncInfmapClient
    from infmap_kit.triton.client import InfmapClient
    from infmap_kit.triton.inference import find_infection

__version__ = "0.1.0"

__all__ = [
    "AsyncInfmapClient",
    "BundleError",
    "ExportError",
    "Finding",
    "GateFailed",
    "HostMismatch",
    "InfmapClient",
    "InfmapError",
    "InputRejected",
    "MissingDependency",
    "ModelSpec",
    "NetworkSpec",
    "Radiograph",
    "ServerError",
    "SpecError",
    "__version__",
    "dicom_results",
    "export_model",
    "find_infection",
    "infection_map",
    "network_input",
    "open_repository",
    "read_radiograph",
    "serve",
    "verify_repository",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        **dict.fromkeys(
            (
                *("BundleError", "ExportError", "GateFailed", "HostMismatch", "InfmapError"),
                *("InputRejected", "MissingDependency", "ServerError", "SpecError"),
            ),
            "infmap_kit.errors",
        ),
        "AsyncInfmapClient": "infmap_kit.triton.async_client",
        "Finding": "infmap_kit.answer.answer:Answer",
        "InfmapClient": "infmap_kit.triton.client",
        "ModelSpec": "infmap_kit.model.spec",
        "NetworkSpec": "infmap_kit.model.spec",
        "Radiograph": "infmap_kit.imaging.radiograph",
        "dicom_results": "infmap_kit.results.dicom.results",
        "export_model": "infmap_kit.release.export",
        "find_infection": "infmap_kit.triton.inference",
        "infection_map": "infmap_kit.imaging.colour",
        "network_input": "infmap_kit.imaging.network_input",
        "open_repository": "infmap_kit.serving.in_process",
        "read_radiograph": "infmap_kit.imaging.readers",
        "serve": "infmap_kit.serving.server:serving",
        "verify_repository": "infmap_kit.release.verify",
    },
)

# Here, since nothing of ours that computes is imported before this.
telemetry.switch_off()
# OpenCV reads this once, when it is loaded. A header that our own check and OpenCV's decoder understand in two
# ways cannot claim more than the largest radiograph (infmap_kit.imaging.radiograph.MAX_PIXELS).
os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = "40000000"
