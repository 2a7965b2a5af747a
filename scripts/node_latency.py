#!/usr/bin/env python
"""How long from C-STORE's success to the last result in the PACS: node, Triton and Orthanc on this machine.

Drawn radiographs are sent by one modality at a steady pace, whatever the node does with them (an open
loop), and Orthanc is asked every 20 ms what has come. The machine should have nothing else to do.

Example: ``.venv/bin/python scripts/node_latency.py --repository demo-output/model_repository``
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.serving.server import free_ports, serving
from node_host import CALLER, NodeHost, c_store_to, radiograph_file, running
from orthanc import Orthanc, running_orthanc

RESULTS = 3
DRAWN = 12


class Arrivals(threading.Thread):
    """Notes when each study's last result was in Orthanc, by this process' clock."""

    def __init__(self, pacs: Orthanc) -> None:
        super().__init__(daemon=True)
        self._pacs = pacs
        self._since = pacs.get("/changes?last")["Last"]
        self._counts: dict[str, int] = {}
        self.complete_s: dict[str, float] = {}
        self.ended = False

    def run(self) -> None:
        """Ask until it is ended."""
        while not self.ended:
            changes = self._pacs.get(f"/changes?since={self._since}&limit=200")
            now_s = time.perf_counter()
            for change in changes["Changes"]:
                if change["ChangeType"] != "NewInstance":
                    continue
                tags = self._pacs.get(f"/instances/{change['ID']}/study")["MainDicomTags"]
                study = tags["StudyInstanceUID"]
                self._counts[study] = self._counts.get(study, 0) + 1
                if self._counts[study] == RESULTS:
                    self.complete_s[study] = now_s
            self._since = changes["Last"]
            time.sleep(0.02)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--rates", default="1,2,5", help="images a second")
    parser.add_argument("--seconds", type=float, default=60, help="for each rate")
    parser.add_argument("--height", type=int, default=1024)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    pictures = [
        synthetic_radiograph(seed, height=options.height, width=options.width).radiograph.pixels
        for seed in range(DRAWN)
    ]
    print(f"{options.height}x{options.width} pixels, SC, SEG and SR, {options.workers} workers")
    print(f"{'images/s':>8} {'sent':>5} {'p50 s':>7} {'p95 s':>7} {'max s':>7} {'sent in s':>9}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (
            serving(options.repository, free_ports()) as triton,
            running_orthanc(folder / "pacs") as pacs,
        ):
            host = NodeHost(folder / "host", triton.grpc_url, c_store_to(pacs))
            host.config.write_text(
                host.config.read_text().replace("[node]", f"[node]\nworkers = {options.workers}")
            )
            with running(host):
                measure(host, pacs, pictures, folder, rate=2, count=10)
                for rate in map(float, options.rates.split(",")):
                    count = max(10, round(rate * options.seconds))
                    latencies_s, took_s = measure(
                        host, pacs, pictures, folder, rate=rate, count=count
                    )
                    p95 = statistics.quantiles(latencies_s, n=20)[-1]
                    print(
                        f"{rate:8g} {len(latencies_s):5} {statistics.median(latencies_s):7.2f} "
                        f"{p95:7.2f} {max(latencies_s):7.2f} {took_s:9.1f}",
                        flush=True,
                    )


def measure(
    host: NodeHost,
    pacs: Orthanc,
    pictures: list[np.ndarray],
    folder: Path,
    *,
    rate: float,
    count: int,
) -> tuple[list[float], float]:
    """Send so many at a pace; seconds from success to the last result of each, and of the sending."""
    from pydicom import dcmread
    from pydicom.uid import generate_uid
    from pynetdicom import AE
    from pynetdicom.sop_class import ComputedRadiographyImageStorage

    sources = [
        dcmread(radiograph_file(folder, pixels, number)) for number, pixels in enumerate(pictures)
    ]
    arrivals = Arrivals(pacs)
    arrivals.start()
    entity = AE(ae_title=CALLER)
    entity.add_requested_context(ComputedRadiographyImageStorage)
    association = entity.associate("127.0.0.1", host.port, ae_title="INFMAP")
    accepted_s: dict[str, float] = {}
    began_s = time.perf_counter()
    for number in range(count):
        source = sources[number % len(sources)]
        source.SOPInstanceUID = source.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        source.StudyInstanceUID, source.SeriesInstanceUID = generate_uid(), generate_uid()
        time.sleep(max(0.0, began_s + number / rate - time.perf_counter()))
        status = association.send_c_store(source).Status
        if status != 0:
            raise SystemExit(f"the node answered 0x{status:04X}")
        accepted_s[source.StudyInstanceUID] = time.perf_counter()
    took_s = time.perf_counter() - began_s
    association.release()
    deadline_s = time.perf_counter() + 600
    while len(arrivals.complete_s) < count and time.perf_counter() < deadline_s:
        time.sleep(0.1)
    arrivals.ended = True
    arrivals.join()
    return [arrivals.complete_s[study] - at for study, at in accepted_s.items()], took_s


if __name__ == "__main__":
    main()
