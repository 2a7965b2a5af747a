"""Many kills, one after the other, each by a seed of its own; and the record of them."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
import platform
import random
import statistics
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from chaos.troubles import Trouble
from chaos.victim import Victim
from chaos.world import World
from infmap_kit import __version__

_IN_TROUBLE = 0.4
"""How often something else is wrong, too."""
_MISSED_IN_A_ROW = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kill:
    """One kill.

    Parameters
    ----------
    number
        Its number, from 0.
    victim, trouble
        What was killed, and what else was wrong.
    landed
        Whether there was still something to kill.
    seconds
        From the beginning of the work to the last invariant.
    violation
        The invariant that does not hold; empty when all do.
    """

    number: int
    victim: str
    trouble: str
    landed: bool
    seconds: float
    violation: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Record:
    """What a campaign found."""

    seed: int
    kills: tuple[Kill, ...]
    seconds: float
    began: str

    @property
    def landed(self) -> list[Kill]:
        """The kills that found their victim at work."""
        return [kill for kill in self.kills if kill.landed]

    @property
    def violations(self) -> list[Kill]:
        """The kills after which an invariant did not hold."""
        return [kill for kill in self.kills if kill.violation]

    def document(self) -> dict[str, Any]:
        """The record as JSON: counts, and every violation."""
        landed = self.landed
        victims = {}
        for name in sorted({kill.victim for kill in self.kills}):
            mine = [kill for kill in landed if kill.victim == name]
            victims[name] = {
                "kills": len(mine),
                "by_trouble": {
                    trouble: sum(kill.trouble == trouble for kill in mine) for trouble in Trouble
                },
                "violations": sum(kill.victim == name for kill in self.violations),
                "median_s": round(statistics.median([k.seconds for k in mine]), 2)
                if mine
                else None,
            }
        return {
            "seed": self.seed,
            "began": self.began,
            "seconds": round(self.seconds, 1),
            "version": __version__,
            "machine": {"cpus": os.cpu_count(), "kernel": platform.release()},
            "kills": len(landed),
            "came_too_late": len(self.kills) - len(landed),
            "victims": victims,
            "violations": [dataclasses.asdict(kill) for kill in self.violations],
        }

    def write(self, folder: Path) -> Path:
        """Write it under the time of its beginning; returns the file."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"chaos-{self.began.replace('-', '').replace(':', '')[:15]}.json"
        path.write_text(json.dumps(self.document(), indent=2) + "\n")
        return path


def campaign(
    world: World,
    classes: Sequence[type[Victim]],
    *,
    kills: int,
    seed: int,
    only: int | None = None,
    on_kill: Callable[[Kill], None] = lambda _: None,
) -> Record:
    """Kill so many times, or until Ctrl-C, and check the invariants after each.

    Parameters
    ----------
    world, classes
        What is there, and what is killed.
    kills
        How many must land.
    seed
        Decides all that is left to chance; when a process meets its kill is up to the machine.
    only
        The number of one kill, to repeat it alone.
    on_kill
        Called after each.
    """
    began, started = dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), time.monotonic()
    done: list[Kill] = []
    places: dict[type[Victim], Victim] = {}
    opened = 0
    try:
        number, missed = (only or 0), 0
        while sum(kill.landed for kill in done) < kills and missed < _MISSED_IN_A_ROW:
            chance = random.Random(f"{seed}/{number}")  # noqa: S311  # nothing to guess here
            (chosen,) = chance.choices(classes, [one.share for one in classes])
            if chosen not in places:
                # It may measure by a server that was asked to end after the kill before.
                world.serving.ensure()
                opened += 1
                places[chosen] = chosen(world, world.folder / f"{chosen.name}-{opened}")
                places[chosen].prepare()
            kill = _kill(places[chosen], number, chance)
            if kill.violation:
                # A new beginning.
                places.pop(chosen).close()
            done.append(kill)
            on_kill(kill)
            number, missed = number + 1, 0 if kill.landed else missed + 1
            if only is not None:
                break
    except KeyboardInterrupt:
        # What was found until then is worth as much.
        pass
    finally:
        for victim in places.values():
            victim.close()
    return Record(seed=seed, kills=tuple(done), seconds=time.monotonic() - started, began=began)


def _kill(victim: Victim, number: int, chance: random.Random) -> Kill:
    troubles = victim.troubles()
    trouble = Trouble.NONE
    if troubles and chance.random() < _IN_TROUBLE:
        trouble = chance.choice(troubles)
    started, landed, violation = time.monotonic(), True, ""
    try:
        # One that a violation has taken away is not this one's.
        victim.world.serving.ensure()
        with victim.in_trouble(trouble, chance):
            landed = victim.strike(chance)
        victim.recover()
        victim.check()
    except Exception:  # noqa: BLE001  # whatever went wrong is what the campaign is for
        violation = traceback.format_exc()
    return Kill(
        number=number, victim=victim.name, trouble=trouble, landed=landed,
        seconds=time.monotonic() - started, violation=violation,
    )  # fmt: skip
