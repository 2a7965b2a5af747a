"""The meaning of a record's figures, a sentence each; empty where a figure is missing."""

from __future__ import annotations

from infmap_kit.bench.independent import AGREEMENT_PERCENT
from infmap_kit.bench.machine import machine_summary
from infmap_kit.bench.records.record import BenchRecord
from infmap_kit.bench.scopes import ENGINE_ALONE, GOALS
from infmap_kit.bench.statistics import PairedRatio
from infmap_kit.model.spec import NetworkSpec
from infmap_kit.paper.table5 import MACHINE


def meaning_sentences(record: BenchRecord) -> list[str]:
    """All sentences about the figures."""
    return [
        paper_sentence(record),
        overhead_sentence(record),
        limit_sentence(record),
        accuracy_sentence(record),
        beside_sentence(record),
        cold_start_sentence(record),
        independent_sentence(record),
    ]


def overhead_sentence(record: BenchRecord) -> str:
    """The latency of everything around the engine."""
    if record.overhead_ms is None:
        return ""
    without = ""
    if record.overhead_in_process_ms is not None:
        without = f"; in the process, without a server, {record.overhead_in_process_ms:.1f} ms"
    return (
        f"Everything around the engine adds {record.overhead_ms:.1f} ms at p50 (file to map less engine "
        f"alone){without}."
    )


def judged_ratios(record: BenchRecord) -> list[tuple[str, PairedRatio, float | None]]:
    """Name, ratio and goal of each ratio that was measured; ``None`` where there is no goal."""
    network = record.model.get("network")
    spec = NetworkSpec(**network) if network else None
    aimed = GOALS.get((str(spec.architecture), str(spec.encoder)), {}) if spec else {}
    goals = {f"{scope} / {other}": goal for (scope, other), goal in aimed.items()}
    return [(name, found, goals.get(name)) for name, found in record.ratios.items()]


def verdict(found: PairedRatio, goal: float) -> str:
    """Say whether a goal is reached, as far as the ratio's interval tells."""
    if found.high <= goal:
        return "reached"
    return "missed" if found.low > goal else "not sure"


def limit_sentence(record: BenchRecord) -> str:
    """The highest throughput of single pictures beside what the cores could compute of the network alone."""
    limit = record.cores_limit
    if not record.throughput or not limit:
        return ""
    if "missing" in limit:
        return f"The cores' limit is not known: {limit['missing']}."
    served = max(p["images_per_s"] for p in record.throughput if p["batch"] == 1)
    ceiling, own = limit["limit_per_s"], limit["throughput_mode_per_s"]
    return (
        f"The cores' limit is {ceiling:.1f} images a second: {limit['cores']} cores, each computing the "
        f"network alone {limit['one_core_per_s']:.1f} times (benchmark_app, in this run). OpenVINO's own "
        f"throughput mode reaches {own:.1f}. Served, single pictures reach {served:.1f} at most: "
        f"{served / ceiling:.2f} of the limit, {served / own:.2f} of that mode."
    )


def paper_sentence(record: BenchRecord) -> str:
    """Table V's figure, and the reason why it stands beside ours and not against it."""
    row = record.paper_row
    if row is None:
        return "The paper's Table V has no row of this network."
    here = f"this is {machine_summary(record.machine)}"
    if ENGINE_ALONE in record.scopes:
        ratio = record.scopes[ENGINE_ALONE].p50_ms / row.time_ms
        here += f", and takes {ratio:.1f} times as long for the engine alone"
    return (
        f"Table V gives {row.network.label}: {row.time_ms:.2f} ms a sample, with {row.trainable_as_printed} "
        f"trainable and {row.non_trainable_as_printed} other parameters. That was another machine, an "
        f"{MACHINE}; {here}."
    )


def accuracy_sentence(record: BenchRecord) -> str:
    """The accuracy of the engine that was timed."""
    gate, held_back = record.accuracy.get("gate") or {}, record.accuracy.get("held_back") or {}
    parts = []
    if "dice" in gate:
        parts.append(
            f"this very engine agrees with its FP32 reference with a Dice of {gate['dice']:.4f} over "
            f"{gate['pictures']} pictures, {gate['flips'] or 'no'} detection changed"
        )
    if held_back:
        figures = " and ".join(f"{name} {value:.3f}" for name, value in held_back.items())
        parts.append(f"the network reached {figures} on held-back radiographs, in FP32")
    if record.model.get("random_weights"):
        parts.append("its weights are random, so that it is fit for timing and for nothing else")
    return f"Accuracy: {'; '.join(parts)}." if parts else "Accuracy: not stated by the manifest."


def beside_sentence(record: BenchRecord) -> str:
    """The other model that was measured in turn with this one."""
    other = record.beside
    if not other:
        return ""
    return (
        f"The other model is {other['name']} {other['version']} in {other['precision']}, target "
        f"{other['target']}."
    )


def cold_start_sentence(record: BenchRecord) -> str:
    """The time until the first answer."""
    cold = record.cold_start
    if not cold:
        return ""
    return (
        f"Cold start: {cold['ready_ms'] / 1e3:.1f} s until the server is ready; its first request takes "
        f"{cold['first_request_ms']:.0f} ms."
    )


def independent_sentence(record: BenchRecord) -> str:
    """Say whether another load generator agrees."""
    figures = record.independent
    if not figures:
        return ""
    if "missing" in figures:
        return f"There is no figure of a second load generator: {figures['missing']}."
    return (
        f"perf_analyzer finds a p50 of {figures['p50_ms']:.2f} ms for the served ensemble, "
        f"{figures['difference_percent']:+.1f} % from ours "
        f"({'within' if figures['agrees'] else 'beyond'} {AGREEMENT_PERCENT:.0f} %)."
    )


def state_sentences(record: BenchRecord) -> list[str]:
    """Reservations about the figures."""
    sentences = list(record.warnings)
    if record.failure:
        sentences.append(f"The measurement ended early: {record.failure}.")
    if record.unsettled != record.doubts:
        unsure = "; ".join(f"{name}: {why}" for name, why in record.unsettled.items())
        sentences.append(f"Ratios that are not sure: {unsure or 'none'}.")
    if record.doubts:
        doubts = "; ".join(f"{name}: {why}" for name, why in record.doubts.items())
        sentences.append(f"Not stable ({doubts}).")
    return sentences
