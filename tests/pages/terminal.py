"""A page's blocks, typed one after the other into one terminal, as a reader would."""

from __future__ import annotations

import functools
import itertools
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from pages.blocks import OUTPUT, PYTHON, Block

TIMEOUT_S = 600
FUNCTIONS = Path(__file__).with_suffix(".sh")
_ASKING = re.compile(r"^infmap-kit (infer|progression noise|verify .*--url)", re.MULTILINE)
_SERVING = re.compile(r"^infmap-kit serve", re.MULTILINE)
_NEXT = "\x1e"
# Hashes and figures differ from call to call, grades from network to network.
_VARYING = re.compile(r"\b[0-9a-f]{12,}\b|\d[\d.]*(?:e[-+]\d+)?|\b(?:none|mild|moderate|severe)\b")
_FRAME = re.compile(r"[─━│┃┏┓┗┛┡┩┠┨└┘├┤┬┴┼┳┻╇╈╋┌┐\s]+")


def run_page(blocks: Sequence[Block], folder: Path) -> None:
    """Run the commands and programs of a page in a folder, and compare its output with what was printed.

    Figures, hashes and table lines are not compared. Where the output ends with an error, the block before it
    must fail; every other block must succeed.

    Raises
    ------
    AssertionError
        When a block ends otherwise than the page says, or a line of output was not printed before.
    """
    groups = [list(group) for _, group in itertools.groupby(blocks, _kind)]
    script = [f"source {shlex.quote(str(FUNCTIONS))}", "set -e"]
    commands = "\n".join(block.text for block in blocks if block.runs and block.language != PYTHON)
    if _ASKING.search(commands) and not _SERVING.search(commands):
        script.append("infmap-kit serve >/dev/null")
    for number, group in enumerate(groups):
        script.append(f"printf '{_NEXT}'")
        if not group[0].runs:
            continue
        if group[0].language == PYTHON:
            program = folder / f".block-{number}.py"
            program.write_text("\n".join(block.text for block in group), encoding="utf-8")
            script.append(f"python {program.name}")
        else:
            text = "".join(block.text for block in group)
            fails = _ends_with_an_error(groups[number + 1 : number + 2])
            script.append(f"set +e\n{text}[ $? != 0 ] || exit 97\nset -e" if fails else text)
    with subprocess.Popen(
        [*_alone(), "bash", "-c", "\n".join(script)],
        cwd=folder,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            told, _ = process.communicate(timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            # All of it, so that no server stays behind.
            os.killpg(process.pid, signal.SIGTERM)
            raise
    printed = told.split(_NEXT)
    reached = groups[max(0, len(printed) - 2)][0]
    assert process.returncode == 0, f"{reached} ended with {process.returncode}\n{printed[-1]}"
    for number, group in enumerate(groups):
        if group[0].language == OUTPUT:
            _compare(group, "".join(printed[: number + 1]), groups[number - 1][0])
        elif group[0].language == "json":
            _find_document(group[0], folder)


def _kind(block: Block) -> tuple[object, ...]:
    """Blocks of one kind that follow each other are run as one: a program goes on in the next block."""
    alone = None if block.language == PYTHON and block.runs else block.line
    return block.language, block.runs, alone


def _ends_with_an_error(following: Iterable[Sequence[Block]]) -> bool:
    return any(
        block.language == OUTPUT and re.search(r"^error: ", block.text, re.MULTILINE)
        for group in following
        for block in group
    )


def _compare(group: Iterable[Block], printed: str, before: Block) -> None:
    told = _shape(printed)
    for block in group:
        if block.mark or not before.runs:
            continue
        missing = [line for line in block.text.splitlines() if _shape(line) not in told]
        assert not missing, f"{block} shows {missing}, printed was\n{printed}"


def _find_document(block: Block, folder: Path) -> None:
    """A document that a command wrote has all keys of the one that is shown, or of a part of one."""
    shown = json.loads(block.text if block.text.startswith("{") else f"{{{block.text}}}")
    written = [json.loads(path.read_text()) for path in folder.glob("maps/*.json")]
    assert any(_holds(document, shown) for document in written), f"{block}: none of {written}"


def _holds(whole: object, part: object) -> bool:
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            key in whole and _holds(whole[key], inner) for key, inner in part.items()
        )
    return True


def _shape(text: str) -> str:
    """A text without what differs from call to call, and without a table's lines."""
    return _VARYING.sub("0", _FRAME.sub(" ", text)).strip()


@functools.cache
def _alone() -> tuple[str, ...]:
    """A loopback of the page's own, on which every default port is free and from which nothing gets out.

    Where the kernel grants none, the ports are shared with whatever else runs on the machine.
    """
    up = ("--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
    for own in (("unshare", "--net"), ("unshare", "--net", "--map-root-user")):
        granted = subprocess.run([*own, *up, "true"], capture_output=True, check=False)
        if granted.returncode == 0:
            return (*own, *up)
    return ()


def _environment() -> dict[str, str]:
    programs = Path(sys.executable).parent
    return {
        **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "CUDA_VISIBLE_DEVICES": "",
        "COLUMNS": "100",
        "LC_ALL": "C.UTF-8",
    }
