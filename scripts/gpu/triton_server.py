"""Step: the real Triton server, each packed repository that it has the backend for, and the gate through it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from step import Finding, Payload, compared, device, main

from infmap_kit.bench.measure import BenchOptions, measure
from infmap_kit.bench.scopes import SCOPES
from infmap_kit.errors import HostMismatch, InfmapError
from infmap_kit.gate.bounds import thresholds_for
from infmap_kit.gate.runners import ServedRunner
from infmap_kit.serving.server import free_ports, serving
from infmap_kit.targets.backends import on_gpu
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.repository import Manifest
from infmap_kit.triton.server.runtime import install_runtime

SECONDS_A_SAMPLE = 0.3
"""Half a minute for the hundred of a plain call."""


def run(payload: Payload) -> Iterator[Finding]:
    """Serve, compare and measure each repository."""
    _bring(payload.folder / "server")
    for name, repository in payload.repositories().items():
        manifest = Manifest.read(repository)
        if on_gpu(manifest) and device() == "cpu":
            yield Finding(what=f"{name}, served", found="not run: no GPU")
            continue
        try:
            yield from _served(payload, name, repository, manifest)
        except HostMismatch as reason:
            yield Finding(what=f"{name}, served", found=f"not run: {reason}")
        except InfmapError as error:
            yield Finding(
                what=f"{name}, served", expected="an answer", found=str(error), passed=False
            )


def _served(payload: Payload, name: str, repository: Path, manifest: Manifest) -> Iterator[Finding]:
    with serving(repository, free_ports()) as server, InfmapClient(server.grpc_url) as client:
        yield compared(
            f"{name}, served",
            payload.reference(),
            ServedRunner(client),
            payload.pictures(),
            thresholds_for(manifest.precision),
        )
    options = BenchOptions(
        samples=payload.samples,
        # Whoever wants few samples does not want to wait until they settle.
        budget_s=SECONDS_A_SAMPLE * payload.samples,
        independent=False,
        only=tuple(SCOPES),
    )
    record = measure(repository, [], options)
    for scope, latencies in record.scopes.items():
        yield Finding(
            what=f"{name}, {scope}",
            found=f"p50 {latencies.p50_ms:.3f} ms"
            + (f" ({record.doubts[scope]})" if scope in record.doubts else ""),
            figures={"p50_ms": round(latencies.p50_ms, 4), "n": len(latencies.samples_ms)},
        )


def _bring(folder: Path) -> None:
    """Use the packed server: a wheel for `infmap-kit runtime`, or a folder with ``bin`` and ``backends``."""
    for wheel in folder.glob("*.whl"):
        install_runtime(wheel)
    if (folder / "bin" / "tritonserver").is_file():
        (folder / "bin" / "tritonserver").chmod(0o755)
        os.environ["PATH"] = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"


if __name__ == "__main__":
    main(run)
