"""A durable database among threads and processes."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from pathlib import Path

from infmap_kit.sqlite import DurableDatabase

_ANOTHER = """
import sys
from pathlib import Path
from infmap_kit.sqlite import DurableDatabase
database = DurableDatabase(Path(sys.argv[1]))
print(database.reading().execute("SELECT count(*) FROM t").fetchone()[0])
database.close()
"""


def test_another_process_that_looks_takes_no_log_away(tmp_path: Path) -> None:
    """A file of a database that is opened and closed beside SQLite loses SQLite's locks (POSIX)."""
    path = tmp_path / "a.db"
    database = DurableDatabase(path)
    with database.transaction() as sql:
        sql.execute("CREATE TABLE t (n INTEGER)")
        sql.execute("INSERT INTO t VALUES (1)")
    # A second thread of this process comes and stays, as a worker does.
    ready, end = threading.Event(), threading.Event()

    def stay() -> None:
        database.reading().execute("SELECT * FROM t").fetchall()
        ready.set()
        end.wait()
        database.close()

    thread = threading.Thread(target=stay)
    thread.start()
    ready.wait()
    log = Path(f"{path}-wal")
    before = log.stat().st_ino
    command = [sys.executable, "-c", _ANOTHER, str(path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "1\n"
    assert log.exists()
    assert log.stat().st_ino == before
    with database.transaction() as sql:
        sql.execute("INSERT INTO t VALUES (2)")
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "2\n"
    end.set()
    thread.join()
    assert database.reading().execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_its_files_are_its_owners_alone(tmp_path: Path) -> None:
    database = DurableDatabase(tmp_path / "a.db")
    with database.transaction() as sql:
        sql.execute("CREATE TABLE t (n INTEGER)")
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
