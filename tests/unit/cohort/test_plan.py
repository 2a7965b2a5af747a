"""Plans: every radiograph once, whatever it is called, and a million of them in bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pq = pytest.importorskip("pyarrow.parquet", reason="the cohort extra is not installed")
import pyarrow as pa

from infmap_kit.cohort.dicomweb import Query
from infmap_kit.cohort.plan import CohortOptions, plan_of, tasks_of
from infmap_kit.errors import InfmapError
from infmap_kit.model.identity import ModelIdentity

MODEL = ModelIdentity({"model_name": "small", "model_version": "7", "onnx_sha256": "0" * 64})


def _locators(folder: Path, *inputs: object, size: int = 3) -> list[list[bytes]]:
    options = CohortOptions(task_size=size)
    plan, was_there = plan_of(folder, [str(one) for one in inputs], Query(), MODEL, options)
    assert not was_there
    tasks = list(tasks_of(folder, plan))
    assert [task.number for task in tasks] == list(range(plan.tasks))
    numbers = [number for task in tasks for number, _ in task.items]
    assert numbers == list(range(plan.radiographs))
    return [[locator for _, locator in task.items] for task in tasks]


def test_each_file_once_whatever_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    names = [b"a.png", b"b\xff.png", "ü.png".encode(), b"c\n.png", b"d.png"]
    for name in names:
        (folder / os.fsdecode(name)).write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "notes.txt").write_text("x")
    listed = tmp_path / "list.csv"
    listed.write_bytes(b"path,site\n" + b"in/b\xff.png,x\nin/e.png,x\ns3://b/k.dcm,y\n\n")
    tasks = _locators(tmp_path / "out", folder, listed)
    place = os.fsencode(folder)
    expected = [place + b"/" + name for name in sorted(names, key=os.fsdecode)]
    assert [one for task in tasks for one in task] == [
        *expected,
        place + b"/e.png",
        b"s3://b/k.dcm",
    ]
    assert list(map(len, tasks)) == [3, 3, 1]


def test_a_parquet_list_and_what_is_done_already(tmp_path: Path) -> None:
    names = [f"/data/{number}.dcm" for number in range(25_000)]
    pq.write_table(pa.table({"path": names}), tmp_path / "list.parquet")
    tasks = _locators(tmp_path / "out", tmp_path / "list.parquet", size=700)
    assert [one for task in tasks for one in task] == [name.encode() for name in names]
    plan, was_there = plan_of(
        tmp_path / "out",
        [str(tmp_path / "list.parquet")],
        Query(),
        MODEL,
        CohortOptions(task_size=700),
    )
    assert was_there
    rest = list(tasks_of(tmp_path / "out", plan, without=range(30)))
    assert [task.number for task in rest] == [30, 31, 32, 33, 34, 35]
    assert rest[0].items[0] == (21_000, b"/data/21000.dcm")


def test_what_is_no_cohort_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text("file\nx.png\n")
    (tmp_path / "empty.csv").write_text("path\n")
    (tmp_path / "list.parquet").write_text("no parquet")
    for name, said in (("list.csv", "a column 'path'"), ("empty.csv", "found none"),
                       ("list.parquet", "cannot read the list")):  # fmt: skip
        with pytest.raises(InfmapError, match=said):
            plan_of(tmp_path / "out", [str(tmp_path / name)], Query(), MODEL, CohortOptions())
    assert not (tmp_path / "out" / "plan" / "plan.json").exists()


_MEASURED = """
import sys
from pathlib import Path
from infmap_kit.cohort.dicomweb import Query
from infmap_kit.cohort.plan import CohortOptions, plan_of, tasks_of
from infmap_kit.model.identity import ModelIdentity
from memory import peak_mib

folder = Path(sys.argv[1])
plan, _ = plan_of(folder / "out", [str(folder / "list.csv")], Query(), ModelIdentity(), CohortOptions())
assert sum(len(task.items) for task in tasks_of(folder / "out", plan)) == plan.radiographs
print(plan.radiographs, plan.repeated, peak_mib())
"""


def test_a_million_rows_take_less_than_500_mb(tmp_path: Path) -> None:
    with (tmp_path / "list.csv").open("w") as file:
        file.write("path\n")
        for number in range(1_000_000):
            file.write(f"/archive/hospital-{number % 7}/{number:09}/radiograph.dcm\n")
        file.write("/archive/hospital-0/000000000/radiograph.dcm\n")
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, str(tmp_path)], capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    radiographs, repeated, peak = map(int, done.stdout.split())
    assert (radiographs, repeated) == (1_000_000, 1)
    assert 0 < peak < 500 * 10**6 / 2**20
