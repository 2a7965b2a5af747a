"""ONNX Runtime and Keras, each in a process of its own, asked for blocks of samples in turn with the rest."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Self

from infmap_kit.bench.scopes import KERAS_PREDICT, ONNX_RUNTIME, OTHER_ONNX_RUNTIME
from infmap_kit.errors import MissingDependency, SpecError


class Baseline:
    """A process that times its own work: it reads a number of requests, and writes their milliseconds.

    Parameters
    ----------
    name
        Name of the baseline, for messages.
    command
        Command line of the process, which calls :func:`answer_blocks`.
    """

    def __init__(self, name: str, command: list[str]) -> None:
        self._name = name
        self._process = subprocess.Popen(  # noqa: S603  # our own modules
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def block(self, _first: int, count: int) -> list[float]:
        """Time so many requests in a row.

        Raises
        ------
        SpecError
            When the process has ended, with the last line of its errors.
        """
        process = self._process
        answer = ""
        if process.stdin is not None and process.stdout is not None:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(f"{count}\n")
                process.stdin.flush()
                answer = process.stdout.readline()
        if not answer:
            last = (process.communicate()[1] or "").strip().splitlines() or ["it gave no reason"]
            raise SpecError(f"{self._name} could not be measured: {last[-1]}")
        return [float(ms) for ms in json.loads(answer)]

    def __enter__(self) -> Self:
        # Building and compiling end before anything else is measured.
        self.block(0, 1)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(BrokenPipeError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._process.wait(timeout=60)


def baselines_of(
    reference: Path | None, network: dict[str, Any] | None, other: Path | None
) -> dict[str, Callable[[], Baseline]]:
    """Scope to what starts its baseline; starting raises ``InfmapError`` where it cannot be measured.

    Parameters
    ----------
    reference
        The network in FP32 as ONNX; ``None`` where there is none.
    network
        The network's entry in the paper; ``None`` for a network that the paper does not have.
    other
        The network in FP32 of the model that is measured beside; ``None`` without one.
    """
    baselines: dict[str, Callable[[], Baseline]] = {
        ONNX_RUNTIME: functools.partial(_onnx_runtime, ONNX_RUNTIME, reference),
        KERAS_PREDICT: functools.partial(_keras, network),
    }
    if other is not None:
        baselines[OTHER_ONNX_RUNTIME] = functools.partial(_onnx_runtime, OTHER_ONNX_RUNTIME, other)
    return baselines


def _onnx_runtime(name: str, reference: Path | None) -> Baseline:
    if reference is None:
        raise SpecError("the repository keeps no network in FP32")
    command = [sys.executable, "-m", "infmap_kit.bench.baselines.onnxruntime", str(reference)]
    return Baseline(name, command)


def _keras(network: dict[str, Any] | None) -> Baseline:
    if importlib.util.find_spec("tensorflow") is None:
        raise MissingDependency("TensorFlow is not installed: pip install 'infmap-kit[train]'")
    if network is None:
        raise SpecError("the network is none of the paper's, so that it cannot be built anew")
    command = [sys.executable, "-m", "infmap_train.networks.predict_baseline", json.dumps(network)]
    return Baseline(KERAS_PREDICT, command)


def replies() -> IO[str]:
    """Standard output for answers alone: whatever a library prints goes to standard error from now on."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def answer_blocks(work: Callable[[], object], answers: IO[str]) -> None:
    """Do the work as often as each line of standard input says, and answer with the milliseconds of each."""
    for line in sys.stdin:
        samples = []
        for _ in range(int(line)):
            begun = time.perf_counter()
            work()
            samples.append(round(1e3 * (time.perf_counter() - begun), 4))
        answers.write(json.dumps(samples) + "\n")
        answers.flush()
