"""A cohort on workers of this machine: every row once, as an undisturbed run leaves it, whatever is killed."""

from __future__ import annotations

import contextlib
import csv
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="the cohort extra is not installed")
pytest.importorskip("pyarrow", reason="the cohort extra is not installed")

from cohorts import command, require_whole, rows_of, run
from infmap_kit.cohort.parts import MANIFEST
from infmap_kit.results.infer import InferenceRun
from infmap_kit.serving.in_process import open_repository
from processes import heed_ctrl_c

COUNT = 26


def test_each_row_says_what_infer_says(
    undisturbed: Path, cohort: Path, small_repository: Path, tmp_path: Path
) -> None:
    files = sorted(cohort.iterdir())
    with open_repository(small_repository) as model:
        outcomes = list(InferenceRun(files, tmp_path, model))
    rows = rows_of(undisturbed)
    assert [row["number"] for row in rows] == list(range(COUNT))
    for row, outcome in zip(rows, outcomes, strict=True):
        if outcome.rejection is not None:
            assert row["rejection"] == outcome.rejection.code
            assert row["detected"] is None
            continue
        said = outcome.document
        for name in ("detected", "height", "width", "pixels", "severity_of", "grade"):
            assert row[name] == said[name]
        assert row["severity_percent"] == pytest.approx(said["severity_percent"], abs=1e-4)
        zones = said["lungs"]["left"]["zones"]
        assert row["left_lower_percent"] == pytest.approx(zones["lower"], abs=1e-4)
        assert row["warnings"] == [warning["code"] for warning in said["warnings"]]
    # One content under two names is two rows.
    assert len({row["content"] for row in rows}) == COUNT - 1
    dicom = rows[-1]
    assert (dicom["tag_AgeBand"], dicom["tag_TakenMonth"]) == ("60-69", "2026-03")
    assert dicom["tag_PatientSex"] == "F"


def test_rows_and_report_name_no_patient(undisturbed: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    asked = [
        sys.executable,
        "-m",
        "infmap_kit",
        "cohort",
        "report",
        str(undisturbed),
        "-o",
        str(page),
    ]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{COUNT} rows; the page is " in done.stderr
    assert "1 unknown-format" in page.read_text()
    content = b"".join(path.read_bytes() for path in (undisturbed / "rows").rglob("*.parquet"))
    text = str(rows_of(undisturbed)).encode() + content + page.read_bytes()
    for secret in (b"Doe", b"Secret", b"SECRET-4711", b"1.2.826", b"20260301", b"ACC0815"):
        assert secret not in text
    # The plan knows where each file lies, and is its owner's alone.
    assert (undisturbed / "plan" / "inputs.parquet").stat().st_mode & 0o777 == 0o600


def test_given_again_nothing_is_done_twice(
    undisturbed: Path, cohort: Path, small_repository: Path
) -> None:
    before = (undisturbed / MANIFEST).read_bytes()
    told = run(cohort, output=undisturbed, repository=small_repository, workers=1, task_size=4)
    assert (told["kept"], told["tasks"]) == (COUNT, 0)
    assert (undisturbed / MANIFEST).read_bytes() == before
    other = run(cohort, output=undisturbed, repository=small_repository, task_size=5, code=1)
    assert "holds a run with another options" in other["told"]


def _workers_of(client: int) -> list[int]:
    """Processes that a run has spawned to work."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            words = path.with_name("cmdline").read_bytes()
            if int(fields[1]) == client and b"spawn_main" in words:
                found.append(int(path.parent.name))
    return found


def _run_with_kills(kills: int, seed: int, output: Path, *inputs: object, **options: Any) -> int:
    """Give a run again and again while its workers and the client with the scheduler are killed; calls made."""
    moments = random.Random(seed)  # noqa: S311
    calls = struck = 0
    while True:
        calls += 1
        # Other numbers of workers go on with the same tasks.
        asked = command(*inputs, output=output, workers=1 + calls % 2, tries=99, **options)
        running = subprocess.Popen(asked, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while running.poll() is None and struck < kills:
            time.sleep(moments.uniform(0.2, 4.0))
            victims = _workers_of(running.pid)
            if victims and moments.random() < 0.6:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(moments.choice(victims), signal.SIGKILL)
                struck += 1
            elif moments.random() < 0.6:
                running.kill()
                struck += 1
        _, stderr = running.communicate(timeout=300)
        if running.returncode == 0:
            return calls
        assert running.returncode in (1, -signal.SIGKILL), stderr.decode()
        # A resource tracker's warning about a killed process is Python's own.
        assert running.returncode < 0 or b"Traceback" not in stderr, stderr.decode()
        assert calls < 4 * kills + 10


def test_kills_leave_the_rows_of_an_undisturbed_run(
    undisturbed: Path, cohort: Path, small_repository: Path, tmp_path: Path
) -> None:
    _run_with_kills(8, 24, tmp_path / "out", cohort, repository=small_repository, task_size=4)
    assert rows_of(tmp_path / "out") == rows_of(undisturbed)
    require_whole(tmp_path / "out")


_DEADLY = """
import os, signal
import fsspec
from fsspec.spec import AbstractFileSystem

class Deadly(AbstractFileSystem):
    protocol = "deadly"
    def _open(self, path, *arguments, **options):
        os.kill(os.getpid(), signal.SIGKILL)

fsspec.register_implementation("deadly", Deadly, clobber=True)
"""


def test_what_kills_its_worker_is_set_aside_and_nothing_else(
    cohort: Path, small_repository: Path, tmp_path: Path
) -> None:
    """A store whose objects kill whoever opens them, in the workers' own processes."""
    (tmp_path / "deadly.py").write_text(_DEADLY)
    files = sorted(cohort.glob("0*.png"))[:8]
    with (tmp_path / "list.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path"])
        writer.writerows([[str(path)] for path in files[:5]])
        writer.writerow(["deadly://bucket/poison.dcm"])
        writer.writerows([[str(path)] for path in files[5:]])
    told = run(
        tmp_path / "list.csv", output=tmp_path / "out", repository=small_repository, workers=2,
        task_size=4, tries=2, code=6,
        env={"DASK_DISTRIBUTED__WORKER__PRELOAD": str(tmp_path / "deadly.py")},
    )  # fmt: skip
    assert told["set_aside"] == [5]
    assert told["rejected"] == {"set-aside": 1}
    assert told["deaths"] == 3, "once with its task, and twice alone"
    assert "numbers 5 of the plan" in told["told"]
    rows = rows_of(tmp_path / "out")
    assert [row["rejection"] for row in rows] == [None] * 5 + ["set-aside"] + [None] * 3
    require_whole(tmp_path / "out")


_DIES_AT_ITS_START = """
import os, signal
from pathlib import Path

left = Path(os.environ["DEATHS_LEFT"])
count = int(left.read_text())
if count:
    left.write_text(str(count - 1))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("deaths", "code"), [(2, 0), (99, 1)])
def test_workers_that_end_while_they_start_are_started_again(
    deaths: int, code: int, cohort: Path, small_repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "dies.py").write_text(_DIES_AT_ITS_START)
    (tmp_path / "left").write_text(str(deaths))
    told = run(
        next(cohort.glob("0*.png")), output=tmp_path / "out", repository=small_repository, workers=1,
        code=code,
        env={
            "DASK_DISTRIBUTED__WORKER__PRELOAD": str(tmp_path / "dies.py"),
            "DEATHS_LEFT": str(tmp_path / "left"),
        },
    )  # fmt: skip
    if code:
        assert "ended while they started" in told["told"]
        assert len(told["told"].strip().splitlines()[-1]) < 400
    else:
        assert told["done"] == 1
        assert (tmp_path / "left").read_text() == "0"


_FULL = """
import resource, signal, sys
from pathlib import Path
from infmap_kit.cluster import ClusterOptions
from infmap_kit.cohort.plan import CohortOptions
from infmap_kit.cohort.start import Begun, CohortStart, conduct
from infmap_kit.errors import InfmapError

if __name__ == "__main__":
    start = CohortStart(
        inputs=[sys.argv[1]], output=Path(sys.argv[2]), repository=Path(sys.argv[3]),
        options=CohortOptions(task_size=4), cluster=ClusterOptions(workers=1),
    )
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for step in conduct(start):
            # When the workers are there, which have disks of their own.
            if isinstance(step, Begun):
                resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
    except InfmapError as error:
        sys.exit(str(error))
"""


def test_a_full_disk_ends_it_in_one_line_and_it_goes_on(
    undisturbed: Path, cohort: Path, small_repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "full.py").write_text(_FULL)
    done = subprocess.run(
        [sys.executable, tmp_path / "full.py", cohort, tmp_path / "out", small_repository],
        capture_output=True, text=True, check=False, timeout=200,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("cannot write to ")
    assert not list((tmp_path / "out").rglob("*.part*"))
    run(cohort, output=tmp_path / "out", repository=small_repository, workers=2, task_size=4)
    assert rows_of(tmp_path / "out") == rows_of(undisturbed)
    require_whole(tmp_path / "out")


def test_ctrl_c_ends_in_one_line(
    undisturbed: Path, cohort: Path, small_repository: Path, tmp_path: Path
) -> None:
    asked = command(
        cohort, output=tmp_path / "out", repository=small_repository, workers=1, task_size=2
    )
    running = subprocess.Popen(
        asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_ctrl_c
    )
    while not (tmp_path / "out" / MANIFEST).exists() and running.poll() is None:
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, stderr = running.communicate(timeout=120)
    assert running.returncode == 130, stderr.decode()
    assert stderr.decode().splitlines()[-1].startswith("error: stopped after ")
    assert not _workers_of(running.pid)


def test_what_it_is_told_must_fit_together(tmp_path: Path) -> None:
    asked = [
        sys.executable,
        "-m",
        "infmap_kit",
        "cohort",
        "run",
        str(tmp_path),
        "-o",
        str(tmp_path / "o"),
    ]
    for more, said in (
        ([], "either --repository or --url"),
        (["--url", "a:1", "--scheduler", "tls://a:1"], "expected --tls-ca"),
        (["--url", "a:1", "--tag", "PatientName"], "may name somebody"),
        (["--url", "a:1", "--tag", "Nonsense"], "a keyword of DICOM"),
        (["--url", "a:1", "--date", "2024"], "such as 20240131"),
        (["--url", "a:1", "--maps", "png,json"], "expected --maps to be some of png"),
    ):
        done = subprocess.run([*asked, *more], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert said in line
