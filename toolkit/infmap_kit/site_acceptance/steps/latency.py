"""The latency ledger: each scope of `bench` beside the paper's Table V."""

from __future__ import annotations

from collections.abc import Iterator

from infmap_kit.bench.measure import BenchOptions, measure
from infmap_kit.bench.scopes import ENGINE_ALONE, ENGINE_WITH_TRANSFERS, MEANINGS, SCOPES
from infmap_kit.paper.table5 import MACHINE
from infmap_kit.site_acceptance.line import NEEDS_A_GPU, AcceptanceLine, judged, not_run
from infmap_kit.site_acceptance.site import Site
from infmap_kit.targets.backends import on_gpu
from infmap_kit.tensorrt.present_gpu import has_gpu

_WARM_UP = 5


def measure_latency(site: Site) -> Iterator[AcceptanceLine]:
    """Measure each scope, on a server of its own; no figure is prescribed, since hosts differ."""
    manifest, options = site.manifest, site.options
    scopes = [name for name in SCOPES if name != ENGINE_WITH_TRANSFERS or on_gpu(manifest)]
    if on_gpu(manifest) and not has_gpu():
        for name in scopes:
            yield not_run(f"latency, {name}", f"measured: {MEANINGS[name]}", NEEDS_A_GPU)
        return
    site.stop()
    record = measure(
        site.copy,
        [],
        BenchOptions(
            samples=options.samples,
            warm_up=_WARM_UP,
            budget_s=options.latency_s,
            independent=False,
            only=tuple(SCOPES),
        ),
        progress=site.progress,
    )
    site.latency = record
    row = record.paper_row
    paper = f" (Table V: {row.time_ms:.2f} ms on an {MACHINE})" if row is not None else ""
    for name in scopes:
        expected = f"measured: {MEANINGS[name]}{paper if name == ENGINE_ALONE else ''}"
        if name not in record.scopes:
            reason = record.failure or record.not_measured.get(name, "not measured")
            yield judged(f"latency, {name}", expected, reason, good=False)
            continue
        figures = record.scopes[name].summary()
        doubt = f"; not settled: {record.doubts[name]}" if name in record.doubts else ""
        doubt += f"; it ended early: {record.failure}" if record.failure else ""
        found = (
            f"median (p50) {figures.p50_ms:.2f} ms, 99 of 100 requests within {figures.p99_ms:.2f} ms, of "
            f"{figures.n}{doubt}"
        )
        yield judged(f"latency, {name}", expected, found, good=not record.failure)
