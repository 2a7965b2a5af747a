"""What the figures of a record mean, one sentence each; empty where there is nothing to say."""

from __future__ import annotations

from infmap_kit.bench.independent import AGREEMENT_PERCENT
from infmap_kit.bench.records.record import BenchRecord
from infmap_kit.bench.scopes import ENGINE_ALONE, FILE_TO_MAP, KERAS_PREDICT, ONNX_RUNTIME
from infmap_kit.paper.table5 import MACHINE

GOALS = {
    f"{FILE_TO_MAP} / {ENGINE_ALONE}": 1.35,
    f"{ENGINE_ALONE} / {ONNX_RUNTIME}": 0.30,
    f"{ENGINE_ALONE} / {KERAS_PREDICT}": 0.15,
}
"""What the CPU path is held to on two cores, U-Net with DenseNet-121, at its fastest precision that passes
the gate."""


def meaning_sentences(record: BenchRecord) -> list[str]:
    """Everything that can be said of the figures."""
    return [
        overhead_sentence(record),
        *ratio_sentences(record),
        paper_sentence(record),
        accuracy_sentence(record),
        cold_start_sentence(record),
        independent_sentence(record),
    ]


def overhead_sentence(record: BenchRecord) -> str:
    """What everything around the engine adds."""
    if record.overhead_ms is None:
        return ""
    return (
        f"Everything around the engine adds {record.overhead_ms:.1f} ms at p50 (file to map less engine "
        "alone)."
    )


def ratio_sentences(record: BenchRecord) -> list[str]:
    """The ratios of this run beside what they are held to."""
    return [
        f"{words}: {value:.2f} at p50 (goal: at most {GOALS[words]:.2f} for the fastest gated precision; "
        f"{'reached' if value <= GOALS[words] else 'not reached'})."
        for words, value in record.ratios.items()
    ]


def paper_sentence(record: BenchRecord) -> str:
    """Table V's figure, and why it is beside ours and not against it."""
    row = record.paper_row
    machine = record.machine
    if row is None:
        return "The network is not known, so that no row of the paper's Table V stands beside it."
    here = (
        f"this is {machine.get('processor')} with {machine.get('cores')} cores and {_gpu(record)}"
    )
    if ENGINE_ALONE in record.scopes:
        ratio = record.scopes[ENGINE_ALONE].p50_ms / row.time_ms
        here += f", and takes {ratio:.1f} times as long for the engine alone"
    return (
        f"Table V gives {row.network.label}: {row.time_ms:.2f} ms a sample, with {row.trainable_as_printed} "
        f"trainable and {row.non_trainable_as_printed} other parameters. That was another machine, an "
        f"{MACHINE}; {here}."
    )


def accuracy_sentence(record: BenchRecord) -> str:
    """How well the engine that was timed decides."""
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


def cold_start_sentence(record: BenchRecord) -> str:
    """How long until the first answer."""
    cold = record.cold_start
    if not cold:
        return ""
    return (
        f"Cold start: {cold['ready_ms'] / 1e3:.1f} s until the server is ready; its first request takes "
        f"{cold['first_request_ms']:.0f} ms."
    )


def independent_sentence(record: BenchRecord) -> str:
    """Whether another load generator agrees."""
    found = record.independent
    if not found:
        return ""
    if "missing" in found:
        return f"There is no figure of a second load generator: {found['missing']}."
    return (
        f"perf_analyzer finds a p50 of {found['p50_ms']:.2f} ms for the served ensemble, "
        f"{found['difference_percent']:+.1f} % from ours "
        f"({'within' if found['agrees'] else 'beyond'} {AGREEMENT_PERCENT:.0f} %)."
    )


def state_sentences(record: BenchRecord) -> list[str]:
    """What speaks against the figures."""
    sentences = list(record.warnings)
    if record.failure:
        sentences.append(f"The measurement ended early: {record.failure}.")
    if record.doubts:
        doubts = "; ".join(f"{name}: {why}" for name, why in record.doubts.items())
        sentences.append(f"Not stable ({doubts}).")
    return sentences


def _gpu(record: BenchRecord) -> str:
    gpu = str(record.machine.get("gpu", "none"))
    return "no GPU" if gpu.startswith("none") else gpu
