"""A report of an acceptance with every outcome."""

from __future__ import annotations

from bench_records import bench_record
from infmap_kit.site_acceptance.line import NEEDS_A_GPU, judged, not_run, reasons_of
from infmap_kit.site_acceptance.report import AcceptanceReport


def acceptance_report() -> AcceptanceReport:
    """One that is not accepted, with a long name of a file and figures."""
    file = "repository/a_model_with_a_long_name/1/segmentation_of_the_infection.onnx"
    lines = {
        "repository": [
            judged("files", "every file", f"{file} is not what was exported", good=False)
        ],
        "host": [judged("Python", "3.11", "3.11", good=True), not_run("card", "L4", NEEDS_A_GPU)],
    }
    return AcceptanceReport(
        lines=lines,
        explanations={"host": "What this machine has."},
        reasons=reasons_of(line for found in lines.values() for line in found),
        repository={"folder": "model_repository", "release": 3, "files": {file: "0f" * 32}},
        host={"processor": "a processor", "cores": 2, "cpu_features": ["avx2", "avx512f"]},
        versions={"infmap-kit": "0", "python": "3.11"},
        started="2026-11-01T10:00:00+00:00",
        duration_s=61.0,
        latency=bench_record(),
    )
