"""``make chaos N=1000``: kill everything, many times; exit code 1 when an invariant did not hold."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from chaos.campaign import Kill, campaign
from chaos.victim import all_victims
from chaos.world import World
from infmap_kit.triton.server.signals import ending_on_sigterm

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "chaos"


def main() -> int:
    """Read the arguments, and kill."""
    victims = {victim.name: victim for victim in all_victims()}
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--only", type=int, help="repeat the kill of this number alone")
    parser.add_argument("--victims", default=",".join(victims), help="some of them")
    parser.add_argument("--record", type=Path, help=f"folder for the record, such as {RESULTS}")
    given = parser.parse_args()
    chosen = [victims[name] for name in given.victims.split(",")]
    print(f"seed {given.seed}", flush=True)  # noqa: T201
    with (
        ending_on_sigterm(),
        tempfile.TemporaryDirectory(prefix="infmap-chaos-") as folder,
        World(Path(folder)) as world,
    ):
        record = campaign(
            world, chosen, kills=given.kills, seed=given.seed, only=given.only, on_kill=_show
        )
    document = record.document()
    for name, counts in document["victims"].items():
        print(f"{name:10}{counts['kills']:6} kills, median {counts['median_s']} s")  # noqa: T201
    print(f"{document['kills']} kills in {document['seconds']} s, "  # noqa: T201
          f"{len(record.violations)} violations; seed {record.seed}")  # fmt: skip
    if given.record:
        print(record.write(given.record))  # noqa: T201
    return 1 if record.violations or len(record.landed) < min(given.kills, 1) else 0


def _show(kill: Kill) -> None:
    if kill.violation:
        print(f"--- {kill.number}: {kill.victim}, {kill.trouble}\n{kill.violation}", flush=True)  # noqa: T201
    else:
        what = "killed" if kill.landed else "too late"
        print(f"{kill.number}: {kill.victim}, {kill.trouble}: {what}, {kill.seconds:.1f} s",  # noqa: T201
              flush=True)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
