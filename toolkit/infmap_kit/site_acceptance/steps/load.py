"""The server under load: its memory, and a change of release in which no answer is lost."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator

from infmap_kit.bench.load import ask_repeatedly
from infmap_kit.errors import InfmapError
from infmap_kit.gate.bounds import thresholds_for
from infmap_kit.host.host_checks import MIN_MEMORY_MIB
from infmap_kit.site_acceptance.answers import difference, question
from infmap_kit.site_acceptance.line import (
    NEEDS_A_GPU,
    NO_GPU_NEEDED,
    AcceptanceLine,
    judged,
    not_run,
)
from infmap_kit.site_acceptance.site import Site
from infmap_kit.targets.backends import on_gpu
from infmap_kit.tensorrt.present_gpu import has_gpu, present_gpu, used_memory_mib
from infmap_kit.triton.client import InfmapClient
from infmap_kit.triton.releases import publishing, roll_back
from infmap_kit.triton.repository import write_manifest

MAX_GROWTH_MIB = 64.0
"""Growth in the second half of the load that is no leak; `make load` looks for those for ten minutes."""

_EVERY_S = 0.25
_ROUND_S = 1.0


@dataclasses.dataclass
class _Load:
    """Clients that ask until they are told that it is enough, and look at every answer."""

    site: Site
    enough: threading.Event = dataclasses.field(default_factory=threading.Event)
    answers: int = 0
    releases: set[int] = dataclasses.field(default_factory=set)
    last_release: int = 0
    faults: list[str] = dataclasses.field(default_factory=list)

    @contextlib.contextmanager
    def running(self, url: str) -> Iterator[None]:
        """Ask while the block runs; at its end every answer has come or is a fault."""
        ask, lock = self._question(url), threading.Lock()

        def noted(client: InfmapClient) -> None:
            why = ask(client)
            with lock:
                self.answers += 1
                self.last_release = client.release or 0
                self.releases.add(self.last_release)
                if why:
                    self.faults.append(f"another answer: {why}")

        def rounds() -> None:
            while not self.enough.is_set() and not self.faults:
                try:
                    # New connections each round, as from clients that come and go.
                    ask_repeatedly(url, noted, clients=self.site.options.clients, seconds=_ROUND_S)
                except InfmapError as error:
                    self.faults.append(f"an answer was lost: {error}")

        thread = threading.Thread(target=rounds, name="load")
        thread.start()
        try:
            yield
        finally:
            self.enough.set()
            thread.join()

    def _question(self, url: str) -> Callable[[InfmapClient], str]:
        image, canvas = question()
        bounds = thresholds_for(self.site.manifest.precision)
        with InfmapClient(url) as client:
            expected = client.infer(image, canvas)
        return lambda client: difference(expected, client.infer(image, canvas), bounds)


def watch_memory(site: Site) -> Iterator[AcceptanceLine]:
    """Put the server under load, and look at its memory meanwhile."""
    server, manifest, options = site.server(), site.manifest, site.options
    load, used = _Load(site), [0]
    memory: list[float] = []
    needs_gpu, gpu_here = on_gpu(manifest), has_gpu()
    with load.running(server.grpc_url):
        begun, passed = time.monotonic(), 0.0
        # Once at least, however early a fault ends it.
        while not memory or (passed < options.load_s and not load.faults):
            site.progress("memory under load", int(passed), int(options.load_s))
            memory.append(server.memory_mib())
            if needs_gpu and gpu_here:
                used.append(used_memory_mib())
            time.sleep(_EVERY_S)
            passed = time.monotonic() - begun
    ask = f"{options.clients} clients"
    found = "; ".join(
        [f"{load.answers} answers to {ask} in {options.load_s:g} s", *load.faults[:2]]
    )
    yield judged(
        "answers under load", "every answer, and the right one", found, good=not load.faults
    )
    # CUDA's libraries alone take gigabytes of a server's memory.
    bound = "" if needs_gpu else f"at most {MIN_MEMORY_MIB} MiB, "
    half = memory[: max(1, len(memory) // 2)]
    growth = max(memory) - max(half)
    good = growth <= MAX_GROWTH_MIB and (needs_gpu or max(memory) <= MIN_MEMORY_MIB)
    gone = "" if min(memory) > 0 else "; once no server was there to look at"
    yield judged(
        "memory under load",
        f"{bound}growth of at most {MAX_GROWTH_MIB:.0f} MiB in the second half",
        f"{max(memory):.0f} MiB at most, growth {growth:.0f} MiB{gone}",
        good=good and not gone,
    )
    yield _gpu_memory(max(used), needed=needs_gpu, here=gpu_here)


def change_release(site: Site) -> Iterator[AcceptanceLine]:
    """Publish the next release in the private copy, and go back, under load."""
    server, manifest = site.server(), site.manifest
    load, before = _Load(site), len(site.events)
    releases = {manifest.release}
    with load.running(server.grpc_url):
        try:
            site.progress("release change under load: publishing", 0, 2)
            with publishing(site.copy) as draft:
                releases.add(draft.release)
                draft.take(site.copy, manifest.release)
                write_manifest(
                    draft.folder,
                    target=manifest.target,
                    precision=manifest.precision,
                    model=manifest.model,
                    built_with=manifest.built_with,
                    release=draft.release,
                    gate=manifest.gate,
                )
            server.look()
            _settle(load, draft.release)
            site.progress("release change under load: going back", 1, 2)
            roll_back(site.copy, manifest.release)
            server.look()
            _settle(load, manifest.release)
        except InfmapError as error:
            # Beside what the clients have seen until then, which may say why.
            load.faults.append(str(error))
    seen = ", ".join(map(str, sorted(load.releases))) or "none"
    refused = [event for event in site.events[before:] if "has taken over" not in event]
    found = "; ".join(
        [
            f"{load.answers} answers, none lost, of releases {seen}, at last {load.last_release}"
            if not load.faults
            else f"{load.answers} answers",
            *load.faults[:2],
            *refused[:2],
        ]
    )
    good = (
        not load.faults
        and not refused
        and load.releases == releases
        and load.last_release == manifest.release
    )
    expected = (
        f"the next release takes over from {manifest.release}, then {manifest.release} again, and no "
        "answer is lost"
    )
    yield judged("release change under load", expected, found, good=good)


def _settle(load: _Load, release: int) -> None:
    """Wait until the last answer is of a release, for a short while."""
    deadline = time.monotonic() + 3 * _ROUND_S
    while load.last_release != release and not load.faults and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(_ROUND_S / 2)


def _gpu_memory(used_mib: int, *, needed: bool, here: bool) -> AcceptanceLine:
    name = "GPU memory under load"
    expected = "less than the card has" if needed else "none needed"
    if not (needed and here):
        return not_run(name, expected, NEEDS_A_GPU if needed else NO_GPU_NEEDED, required=needed)
    there_mib = present_gpu().memory_mib
    if not (used_mib and there_mib):
        return not_run(name, expected, "the driver does not tell it", required=False)
    expected = f"less than the card's {there_mib} MiB"
    return judged(
        name, expected, f"{used_mib} MiB at most, of all programs", good=used_mib < there_mib
    )
