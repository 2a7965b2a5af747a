"""Releases: kept, gone back to, and never a mixture."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infmap_kit.errors import ExportError, SpecError
from infmap_kit.triton.releases import publishing, releases_of, roll_back
from infmap_kit.triton.repository import check_repository, write_manifest
from published import publish_text, texts_of

TESTS = Path(__file__).parents[2]


def _numbers(repository: Path) -> list[tuple[int, bool]]:
    return [(release.manifest.release, release.current) for release in releases_of(repository)]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    for text in ("first", "second", "third"):
        publish_text(folder, text)
    return folder


def test_each_publication_is_a_release_of_its_own(repository: Path) -> None:
    assert _numbers(repository) == [(3, True), (2, False), (1, False)]
    assert check_repository(repository).release == 3
    assert texts_of(repository) == {"third"}
    for release in releases_of(repository):
        check_repository(release.folder)


def test_going_back_goes_to_the_one_before_and_on(repository: Path) -> None:
    assert roll_back(repository).release == 2
    assert texts_of(repository) == {"second"}
    assert roll_back(repository).release == 1
    assert _numbers(repository) == [(3, False), (2, False), (1, True)]
    assert roll_back(repository, 3).release == 3
    assert texts_of(repository) == {"third"}
    check_repository(repository)


def test_a_release_after_going_back_has_a_new_number(repository: Path) -> None:
    roll_back(repository, 1)
    publish_text(repository, "fourth")
    assert _numbers(repository) == [(4, True), (3, False), (2, False), (1, False)]
    assert roll_back(repository).release == 3, "the number before, not what was served before"


@pytest.mark.parametrize(
    ("release", "reason"),
    [(9, "no release 9: kept are 2, 1"), (3, "is what .* holds already")],
)
def test_what_cannot_be_gone_back_to_is_said(repository: Path, release: int, reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        roll_back(repository, release)
    assert texts_of(repository) == {"third"}


def test_the_first_release_has_none_before(tmp_path: Path) -> None:
    publish_text(tmp_path / "repository", "first")
    with pytest.raises(SpecError, match="no release before 1"):
        roll_back(tmp_path / "repository")


def test_an_altered_release_is_not_gone_back_to(repository: Path) -> None:
    archived = releases_of(repository)[1].folder
    (archived / "one" / "2" / "model.onnx").write_text("altered")
    with pytest.raises(SpecError, match="is not what was exported"):
        roll_back(repository)
    assert texts_of(repository) == {"third"}


def test_only_so_many_are_archived(repository: Path) -> None:
    publish_text(repository, "fourth", archived=2)
    assert _numbers(repository) == [(4, True), (3, False), (2, False)]


def test_two_cannot_publish_at_once(repository: Path) -> None:
    with publishing(repository) as draft:
        with (
            pytest.raises(ExportError, match="somebody else is publishing"),
            publishing(repository),
        ):
            pass
        assert draft.folder.is_dir(), "the first one's draft is left alone"
        raise_away = SpecError("enough")
        with pytest.raises(SpecError), publishing(repository.parent / "another"):
            raise raise_away
        write_manifest(
            draft.folder, target="embedded", precision="fp32", model={}, built_with={}, release=4
        )
    assert _numbers(repository)[0] == (4, True)


def test_kill_9_while_publishing_and_going_back_leaves_a_complete_release(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    publish_text(repository, "0")
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from published import publish_text; from infmap_kit.triton.releases import roll_back\n"
        "print('ready', flush=True)\n"
        "for text in range(1, 10**6):\n"
        "    publish_text(Path(sys.argv[1]), str(text)); roll_back(Path(sys.argv[1]))\n"
    )
    seen: set[int] = set()
    # On a busy machine more rounds are needed, and longer ones, until some publishing lay between the kills.
    for round_ in range(120):
        if round_ >= 24 and len(seen) > 3:
            break
        process = subprocess.Popen(
            [sys.executable, "-c", script, str(repository), str(TESTS)],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.005 * round_)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        seen.add(check_repository(repository).release)
        assert len(texts_of(repository)) == 1, "a mixture of two releases"
        for release in releases_of(repository):
            check_repository(release.folder)
    assert len(seen) > 3, "the loop did publish between the kills"
    publish_text(repository, "last")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".repository.releases",
        "repository",
    ]
