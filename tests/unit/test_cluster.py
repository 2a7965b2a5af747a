"""What docs/cluster.md and docs/scale.md say: the job script of Slurm, and the tables of the simulation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from authority import Authority
from script_modules import load_script

ROOT = Path(__file__).parents[2]
SIMULATION = load_script("cohort_scale")
CLUSTER = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")


def test_slurm_is_given_workers_that_speak_tls(tmp_path: Path) -> None:
    """The document's own lines, with certificates in the folder; `sbatch` is not asked."""
    pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")
    (lines,) = re.findall(r"```python\n(.*?)```", CLUSTER, re.DOTALL)
    authority = Authority(tmp_path)
    node = authority.sign("machine")
    for name, path in (("ca.pem", authority.path), ("node.pem", node.path), ("node.key", node.key)):
        (tmp_path / name).write_bytes(path.read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", lines.replace('"port": 8786', '"port": 0') + "cluster.close()\n"],
        capture_output=True, text=True, check=False, cwd=tmp_path, timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    script = done.stdout
    for line in ("#SBATCH -p cpu", "#SBATCH -t 04:00:00", "#SBATCH --cpus-per-task=8"):
        assert line in script.splitlines()
    (command,) = [line for line in script.splitlines() if "dask_worker" in line]
    for part in (
        "tls://",
        "--nthreads 1",
        "--nworkers 8",
        "--tls-ca-file",
        "--tls-cert",
        "--tls-key",
    ):
        assert part in command


def test_the_simulation_s_tables_are_those_of_the_script() -> None:
    document = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    assert SIMULATION.filled(document) == document


def test_the_simulation_knows_what_can_be_reckoned_by_hand() -> None:
    simulate = SIMULATION.simulate
    # One worker: all radiographs one after the other, and the client's last task.
    alone = simulate(1000, 1, radiograph_s=0.1, client_task_s=0.5, task_size=100)
    assert alone.hours * 3600 == pytest.approx(100 + 0.5)
    # Two share them; a client that is slower than both of them decides.
    assert simulate(
        1000, 2, radiograph_s=0.1, client_task_s=0, task_size=100
    ).hours * 3600 == pytest.approx(50)
    slow = simulate(1000, 2, radiograph_s=0.1, client_task_s=20, task_size=100)
    assert slow.hours * 3600 == pytest.approx(10 + 10 * 20)
    # So does a PACS.
    pacs = simulate(1000, 50, radiograph_s=0.001, client_task_s=0, pacs_a_second=10, task_size=100)
    assert pacs.hours * 3600 == pytest.approx(100)
