"""A node as a process of its own, as on a host: started, killed, asked; and radiographs to send to it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

from commands import run_command
from infmap_kit.serving.server import free_port
from orthanc import AE_TITLE, Orthanc
from patience import PATIENCE_S
from processes import heed_ctrl_c

CALLER = "MODALITY"
PATIENT_NAME = "Geheim^Gustav"
PATIENT_ID = "PAT-4711"


def radiograph_file(
    folder: Path, pixels: NDArray[np.uint8], number: int, *, body_part: str = "CHEST", **tags: str
) -> Path:
    """Write pixels as a CR file of a patient, study and instance of its own."""
    dataset = Dataset()
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = generate_uid()
    dataset.PatientName, dataset.PatientID = PATIENT_NAME, f"{PATIENT_ID}-{number}"
    dataset.PatientBirthDate, dataset.PatientSex = "19600101", "O"
    dataset.StudyDate, dataset.StudyTime, dataset.AccessionNumber = "20261122", "0102", str(number)
    dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = "1", 1, 1
    dataset.ReferringPhysicianName = ""
    dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition = "CR", body_part, "PA"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    content = pixels.tobytes()
    dataset.PixelData = content + b"\0" * (len(content) % 2)
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = folder / f"radiograph-{number:04}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def send(
    port: int,
    files: Sequence[Path],
    *,
    caller: str = CALLER,
    called: str = "INFMAP",
    more: Sequence[str] = (),
) -> int:
    """Send with dcmtk's storescu, in one association; its exit code."""
    command = [
        "storescu",
        *more,
        "-aet",
        caller,
        "-aec",
        called,
        "-to",
        "5",
        "127.0.0.1",
        str(port),
    ]
    return subprocess.run(
        [*command, *map(str, files)], capture_output=True, check=False, timeout=PATIENCE_S
    ).returncode


OF_THIS_CODE = (sys.executable, "-m", "infmap_kit")


@dataclasses.dataclass
class NodeHost:
    """A folder with a node's configuration and spool, and the process that runs on it.

    Parameters
    ----------
    folder
        For everything.
    triton_url
        Where the model is served.
    destinations
        TOML of the destinations; see :func:`c_store_to` and :func:`stow_to`.
    node
        TOML of more keys of ``[node]``.
    more
        TOML of more sections.
    program
        The command ``infmap-kit``, of this checkout where none is given.
    """

    folder: Path
    triton_url: str
    destinations: str = ""
    node: str = ""
    more: str = ""
    callers: Sequence[str] = (CALLER,)
    outputs: str = '["sc", "seg", "sr"]'
    rejects: str = "report"
    spool: Path | None = None
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    program: Sequence[str] = OF_THIS_CODE

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self.status_port = free_port(), free_port()
        self.log_path = self.folder / "log.jsonl"
        self.process: Any = None
        self.write()

    @property
    def config(self) -> Path:
        return self.folder / "node.toml"

    def write(self) -> None:
        """Write the configuration anew."""
        names = [
            line.partition("=")[2].strip().strip('"')
            for line in self.destinations.splitlines()
            if line.startswith("name")
        ]
        spool = self.spool or self.folder / "spool"
        callers = "".join(f'[[callers]]\nae_title = "{title}"\n' for title in self.callers)
        self.config.write_text(
            f'[node]\nspool = "{spool}"\nport = {self.port}\n{self.node}\n\n'
            f"[status]\nport = {self.status_port}\n\n{callers}\n"
            f'[[models]]\nname = "covid"\nurl = "{self.triton_url}"\n\n{self.destinations}\n'
            f'[[rules]]\nname = "chest"\nmodel = "covid"\nmodalities = ["CR", "DX"]\n'
            f'body_parts = ["CHEST"]\noutputs = {self.outputs}\nto = {json.dumps(names)}\n'
            f'rejects = "{self.rejects}"\n\n{self.more}\n'
        )

    def start(self, *, wait: bool = True) -> Any:
        """Start the node; it appends to the log."""
        self.process = self.launch()
        if wait:
            wait_until(lambda: self.process_ended() or self.http("/live")[0] == 200)
            assert not self.process_ended(), self.log_path.read_text()[-2000:]
        return self.process

    def launch(self) -> Any:
        """A new process: ``subprocess.Popen``, or what looks like one."""
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                [*self.program, "node", "run", "-c", str(self.config)],
                stderr=log,
                env={**os.environ, **self.environment},
                preexec_fn=heed_ctrl_c,
            )

    def process_ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def kill(self) -> None:
        """As a power cut would, as far as processes go."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def end(self) -> int:
        """End it in order; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code: int = self.process.wait(timeout=PATIENCE_S)
        return code

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        """One of `infmap-kit node`'s other commands on this configuration."""
        if self.program == OF_THIS_CODE:
            return run_command("infmap-kit", "node", *arguments, "-c", self.config)
        command, *rest = map(str, arguments)
        return subprocess.run(
            [*self.program, "node", command, *rest, "-c", str(self.config)],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )

    def status(self) -> dict[str, Any]:
        done = self.run("status", "--json")
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def images(self) -> dict[str, int]:
        """Radiographs by state, from the running node's metrics."""
        return {
            key: int(value) for key, value in self.metrics("infmap_node_images", "state").items()
        }

    def metrics(self, name: str, label: str = "") -> dict[str, float]:
        """A metric's values by one label's, from the running node."""
        from prometheus_client.parser import text_string_to_metric_families

        code, text = self.http("/metrics")
        assert code == 200, text[:2000]
        return {
            sample.labels.get(label, ""): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name
        }

    def http(self, path: str) -> tuple[int, str]:
        """Status and text of one of the node's pages; 0 when nobody answers."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.status_port}{path}", timeout=10
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def log(self) -> list[dict[str, Any]]:
        """Every line of the log; each must be JSON."""
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]

    def events(self, subject: str) -> list[str]:
        """What was said of a subject (``destination pacs: ``), in order and without the subject."""
        said = [line["event"] for line in self.log()]
        return [event.removeprefix(subject) for event in said if event.startswith(subject)]

    def wait_for(self, seconds: float = PATIENCE_S, **states: int) -> None:
        """Wait until so many radiographs are in these states."""

        def reached() -> bool:
            assert not self.process_ended(), self.log_path.read_text()[-3000:]
            images = self.images()
            return all(images[state] == number for state, number in states.items())

        wait_until(
            reached, seconds, lambda: f"{self.images()}\n{self.log_path.read_text()[-3000:]}"
        )


@contextlib.contextmanager
def running(host: NodeHost) -> Iterator[NodeHost]:
    """A started node, killed at the end."""
    host.start()
    try:
        yield host
    finally:
        host.kill()


def c_store_to(orthanc: Orthanc, *, name: str = "pacs", more: str = "") -> str:
    """TOML of a destination by C-STORE."""
    return (
        f'[[destinations]]\nname = "{name}"\nkind = "c-store"\nhost = "127.0.0.1"\n'
        f'port = {orthanc.dicom_port}\nae_title = "{AE_TITLE}"\nmax_wait_s = 2\n{more}\n'
    )


def stow_to(orthanc: Orthanc, *, name: str = "web", more: str = "") -> str:
    """TOML of a destination by STOW-RS."""
    return (
        f'[[destinations]]\nname = "{name}"\nkind = "stow-rs"\nurl = "{orthanc.dicomweb_url}"\n'
        f"max_wait_s = 2\n{more}\n"
    )


def wait_until(
    reached: Callable[[], bool],
    seconds: float = PATIENCE_S,
    explain: Callable[[], str] = lambda: "",
) -> None:
    """Wait for something, or fail with what is there instead."""
    deadline = time.monotonic() + seconds
    while not reached():
        if time.monotonic() > deadline:
            raise AssertionError(f"not reached within {seconds} s: {explain()}")
        time.sleep(0.05)


def modality_sets(pacs: Orthanc) -> Counter[tuple[str, ...]]:
    """How many studies hold which modalities, as Orthanc has them."""
    studies = [pacs.get(f"/studies/{study}/series") for study in pacs.get("/studies")]
    return Counter(
        tuple(sorted(one["MainDicomTags"]["Modality"] for one in series for _ in one["Instances"]))
        for series in studies
    )


@contextlib.contextmanager
def connected_to(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        yield connection
