"""The pages of docs/tutorials, taken apart, and run as a reader would.

A block of ``sh`` or ``python`` is run, in the order of the page. A block of ``text`` is output, whose lines
the blocks before it printed. The server of ``infmap-kit serve`` runs until the end of the page.
"""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from infmap_kit.serving.server import free_ports
from patience import PATIENCE_S

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
RUN_BY = {"sh": ("bash", "-ec"), "python": (sys.executable, "-c")}
OUTPUT = "text"
TIMEOUT_S = 600
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Block:
    """A block of a page: its language, and what stands in it."""

    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    """All blocks of a page, in its order."""
    return [Block(*found) for found in _BLOCK.findall(page.read_text(encoding="utf-8"))]


def run_page(page: Path, folder: Path) -> None:
    """Run a page in a folder, and compare what it shows as output with what was printed.

    Raises
    ------
    AssertionError
        When a block ends with another exit code than 0, or a line of output was not printed before.
    """
    ports = free_ports()
    programs = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "CUDA_VISIBLE_DEVICES": "",
        "LC_ALL": "C",
    }
    printed: list[str] = []
    with ExitStack() as stack:
        for block in blocks(page):
            # Another server may have the default ports.
            text = block.text.replace("127.0.0.1:8001", f"127.0.0.1:{ports.grpc_port}")
            if block.language == OUTPUT:
                assert set(text.splitlines()) <= set(printed), text
            elif text.startswith("infmap-kit serve"):
                own = f" --grpc-port {ports.grpc_port} --metrics-port {ports.metrics_port}"
                stack.enter_context(_serving(text.rstrip() + own, folder, environment))
            else:
                program = RUN_BY[block.language]
                printed += _printed([*program, text], folder, environment)


def _printed(command: list[str], folder: Path, environment: dict[str, str]) -> list[str]:
    """The lines that a block prints."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}"
    return [line.rstrip() for line in done.stdout.splitlines()]


@contextmanager
def _serving(line: str, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """A server that is ready; it is ended afterwards."""
    with subprocess.Popen(
        ["bash", "-c", f"exec {line}"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        told = ""
        try:
            for printed in process.stdout:
                told += printed
                if printed.startswith("Ready"):
                    break
            assert "Ready" in told, told
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=PATIENCE_S)
