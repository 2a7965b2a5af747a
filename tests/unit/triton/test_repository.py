"""Publishing: the old repository or the new one, whole, whatever happens in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infmap_kit.errors import ExportError, SpecError
from infmap_kit.triton.repository import MANIFEST, check_repository, publishing, write_manifest


def _publish(repository: Path, text: str) -> None:
    with publishing(repository) as folder:
        for model in ("one", "two"):
            (folder / model / "1").mkdir(parents=True)
            (folder / model / "config.pbtxt").write_text(f'name: "{model}"')
            (folder / model / "1" / "model.onnx").write_text(text)
        write_manifest(folder, target="embedded", precision="fp32", model={}, built_with={})


def _texts(repository: Path) -> set[str]:
    return {path.read_text() for path in repository.glob("*/1/model.onnx")}


def test_published_repositories_pass_their_own_check(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    for text in ("old", "new"):
        _publish(repository, text)
        assert set(check_repository(repository).files) == {
            f"{model}/{name}"
            for model in ("one", "two")
            for name in ("config.pbtxt", "1/model.onnx")
        }
        assert _texts(repository) == {text}
    assert [path.name for path in tmp_path.iterdir()] == ["repository"], "nothing is left beside it"


def test_an_export_that_fails_leaves_the_old_state(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    _publish(repository, "old")
    with pytest.raises(RuntimeError, match="gate"), publishing(repository) as folder:
        (folder / "half").mkdir()
        raise RuntimeError("gate")
    assert _texts(repository) == {"old"}
    check_repository(repository)
    assert [path.name for path in tmp_path.iterdir()] == ["repository"]


def test_kill_9_at_any_moment_leaves_old_or_new_whole(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    _publish(repository, "0")
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from test_repository import _publish\n"
        "print('ready', flush=True)\n"
        "for text in range(1, 10**6): _publish(Path(sys.argv[1]), str(text))\n"
    )
    for round_ in range(20):
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(repository), str(Path(__file__).parent)],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.003 * round_)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        check_repository(repository)
        assert len(_texts(repository)) == 1, "a mixture of two exports"
    _publish(repository, "last")
    assert [path.name for path in tmp_path.iterdir()] == ["repository"], (
        "leftovers are cleared away"
    )


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda r: (r / "one/1/model.onnx").write_text("changed"), "is not what was exported"),
        (lambda r: (r / "one/1/model.onnx").unlink(), "lacks one/1/model.onnx"),
        (lambda r: (r / "one/1/more.py").write_text(""), "holds one/1/more.py"),
        (lambda r: (r / "one/1/link").symlink_to("/etc/passwd"), "is a link"),
        (lambda r: (r / MANIFEST).unlink(), "fill it with `infmap-kit export`"),
        (lambda r: (r / MANIFEST).write_text("{"), "is not JSON"),
        (lambda r: (r / MANIFEST).write_text('{"schema": 9}'), "of schema 1, found 9"),
        (lambda r: (r / MANIFEST).write_text('{"schema": 1}'), "is not a manifest"),
    ],
)
def test_harm_is_named(tmp_path: Path, harm: object, reason: str) -> None:
    repository = tmp_path / "repository"
    _publish(repository, "text")
    assert callable(harm)
    harm(repository)
    with pytest.raises(SpecError, match=reason):
        check_repository(repository)


def test_a_folder_of_somebody_elses_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("years of work")
    with pytest.raises(ExportError, match=r"thesis\.tex, which no export made"):
        _publish(tmp_path / "home", "text")
    assert (tmp_path / "home" / "thesis.tex").read_text() == "years of work"
