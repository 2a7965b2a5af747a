"""A campaign: ``python -m fuzz [--inputs 100000] [--jobs 2] [--minutes 10] [TARGET ...]``.

Every target is run by Atheris (libFuzzer with the coverage of Python code) in a process of its own, from
the committed corpus and what earlier campaigns found on the way (``.fuzz``). An input that raises, takes more
than 5 s of the processor, or more than 1 GiB, is written into the corpus: mend the fault, and commit the file
with it.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fuzz.replay import folders, inputs
from fuzz.targets import KINDS, MAX_INPUT_BYTES, MAX_MIB, PATIENCE_S, Target, bounded
from memory import peak_mib

WORK = Path(__file__).parents[2] / ".fuzz"
_TOLD_EVERY_S = 30
_TAIL = 4000
_SHARES = sum(kind.inputs for kind in KINDS.values())


def main() -> None:
    """Run the campaigns, and end with 1 when something was found."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--inputs", type=int, default=100_000, help="of all targets together")
    parser.add_argument("--jobs", type=int, default=2, help="how many targets at a time")
    parser.add_argument("--minutes", type=float, default=10, help="most of one target")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = set(options.targets) - set(KINDS)
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    names = options.targets or list(KINDS)
    if options.one:
        _fuzz(names[0], options.inputs, options.minutes, options.one)
        return
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        found = list(pool.map(lambda name: _run(name, options), names))
    for name in names:
        if _summary(name).exists():
            sys.stdout.write(_summary(name).read_text() + "\n")
    sys.exit(1 if any(found) else 0)


def _run(name: str, options: argparse.Namespace) -> bool:
    """One target's campaign in a process of its own; whether it found something."""
    WORK.mkdir(exist_ok=True)
    count = max(1, options.inputs * KINDS[name].inputs // _SHARES)
    command = [sys.executable, "-m", "fuzz", f"--inputs={count}", f"--minutes={options.minutes}"]
    _summary(name).unlink(missing_ok=True)
    log = WORK / f"{name}.log"
    temporary = tempfile.TemporaryDirectory(prefix="infmap-fuzz-", ignore_cleanup_errors=True)
    with temporary as folder, log.open("wb") as output:
        process = subprocess.Popen([*command, "--one", folder, name], stdout=output, stderr=output)
        while process.poll() is None:
            try:
                process.wait(_TOLD_EVERY_S)
            except subprocess.TimeoutExpired:
                done = re.findall(r"^#(\d+)", log.read_text(errors="replace"), re.MULTILINE)
                sys.stdout.write(f"{name}: {(done or ['0'])[-1]} of {count} inputs\n")
                sys.stdout.flush()
    if process.returncode:
        text = log.read_text(errors="replace")
        sys.stdout.write(f"{name}: FOUND SOMETHING, see {log}\n{text[-_TAIL:]}\n")
        sys.stdout.flush()
    return process.returncode != 0


def _summary(name: str) -> Path:
    return WORK / f"{name}.txt"


def _fuzz(name: str, count: int, minutes: float, folder: Path) -> None:
    import atheris

    seen = WORK / name
    seen.mkdir(parents=True, exist_ok=True)
    with atheris.instrument_imports(
        include=["infmap_kit", "infmap_annotate", "pydicom", "pynetdicom"]
    ):
        target = KINDS[name].make(folder)
        for path in inputs(name):
            # What is imported late is imported here, and so instrumented, before the clock runs.
            target(path.read_bytes())
    own, *others = folders(name)
    own.mkdir(exist_ok=True)
    atheris.Setup(
        [
            sys.argv[0], f"-runs={count}", f"-max_total_time={int(60 * minutes)}",
            f"-timeout={PATIENCE_S}", f"-rss_limit_mb={MAX_MIB}", f"-max_len={MAX_INPUT_BYTES}",
            f"-artifact_prefix={own}/", str(seen), str(own), *map(str, others),
        ],
        _told(name, bounded(target)),
    )  # fmt: skip
    atheris.Fuzz()


def _told(name: str, target: Target) -> Target:
    """A target that keeps a line of what it has run (``.fuzz/NAME.txt``), and its slowest input beside it."""
    summary, slowest = _summary(name), WORK / f"{name}.slowest"
    count, slowest_s, told_s = 0, 0.0, 0.0

    def run(content: bytes) -> None:
        nonlocal count, slowest_s, told_s
        started_s = time.process_time()
        try:
            target(content)
        finally:
            ended_s = time.process_time()
            count += 1
            if ended_s - started_s > slowest_s:
                slowest_s = ended_s - started_s
                slowest.write_bytes(content)
            # libFuzzer ends the process without a word to Python.
            if ended_s > told_s + 0.2:
                told_s = ended_s
                summary.write_text(
                    f"{name}: {count} inputs, slowest {slowest_s:.2f} s, peak {peak_mib()} MiB"
                )

    return run


if __name__ == "__main__":
    main()
