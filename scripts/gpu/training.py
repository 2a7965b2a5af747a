"""Step: training in FP32 and in the mixed precision that the card is quickest in; the loss must fall in both.

With TensorFlow by the product's own `infmap-train fit`. Where that is missing PyTorch trains the packed
network: that says what the card gives, and nothing of the product's training.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from second_opinion import TorchEngine
from step import Finding, NotRun, Payload, device, main

from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.imaging.synthetic.folder import write_synthetic
from infmap_kit.tensorrt.present_gpu import PresentGpu, present_gpu

STEPS = 20
PICTURES, EPOCHS = 96, 2


def mixed_precision(gpu: PresentGpu) -> str:
    """``bfloat16`` from Ampere on, ``float16`` on Volta and Turing, nothing before (CUDA's own guide)."""
    capability = tuple(map(int, gpu.capability.split(".")))
    return "bfloat16" if capability >= (8, 0) else "float16" if capability >= (7, 0) else ""


def run(payload: Payload) -> Iterator[Finding]:
    """Train on drawn radiographs."""
    mixed = mixed_precision(present_gpu()) if device() == "cuda" else "bfloat16"
    if importlib.util.find_spec("tensorflow") is not None:
        if device() == "cpu":
            raise NotRun("no GPU; on a CPU the product's own tests train")
        for kind in ("float32", mixed):
            yield _by_the_product(kind)
        return
    engine = TorchEngine(payload.network("onnxruntime-fp32"))
    before = {name: value.clone() for name, value in engine.module.state_dict().items()}
    for kind in filter(None, ("float32", mixed)):
        engine.module.load_state_dict(before)
        yield _by_pytorch(engine, kind, batch=16 if engine.device == "cuda" else 2)


def _by_the_product(kind: str) -> Finding:
    what = f"infmap-train fit, {kind}"
    if kind == "float16" or not kind:
        return Finding(what=what, found="not run: training knows bfloat16, which this card has not")
    with tempfile.TemporaryDirectory() as scratch:
        data, trained = Path(scratch) / "data", Path(scratch) / "run"
        write_synthetic(data, count=PICTURES, size=256)
        command = [
            *(
                sys.executable,
                "-m",
                "infmap_train.cli",
                "fit",
                "--data",
                str(data),
                "--run",
                str(trained),
            ),
            *("--encoder-weights", "none", "--epochs", str(EPOCHS), "--batch-size", "16"),
            *("--learning-rate", "3e-4"),
            *(["--mixed-precision"] if kind == "bfloat16" else []),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our own
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason"])[-1]
            return Finding(what=what, expected="a finished run", found=reason, passed=False)
        history = json.loads((trained / "state.json").read_text())["history"]
    losses = [row["loss"] for row in history]
    return _finding(what, losses, PICTURES / history[-1]["seconds"])


def _by_pytorch(engine: TorchEngine, kind: str, *, batch: int) -> Finding:
    import torch

    drawn = [synthetic_radiograph(n, height=256, width=256, infected=True) for n in range(batch)]
    pixels = torch.from_numpy(np.stack([network_input(one.radiograph.pixels) for one in drawn]))
    masks = np.stack([network_input(one.infection_mask * 255) > 127 for one in drawn])
    truth = torch.from_numpy(masks.astype(np.float32)).to(engine.device)
    pixels, module = pixels.to(engine.device), engine.module.train()
    optimiser = torch.optim.Adam(module.parameters(), lr=3e-4)
    scaler = torch.amp.GradScaler(engine.device, enabled=kind == "float16")
    losses: list[float] = []
    steps = STEPS if engine.device == "cuda" else 4
    for number in range(steps + 1):
        if number == 1:
            # The first step chooses kernels.
            begun = time.perf_counter()
        computing: Any = contextlib.nullcontext()
        if kind != "float32":
            computing = torch.autocast(engine.device, dtype=getattr(torch, kind))
        with computing:
            probability = module(pixels)
        loss = torch.nn.functional.binary_cross_entropy(
            probability.float().clamp(1e-6, 1 - 1e-6), truth
        )
        optimiser.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimiser)
        scaler.update()
        losses.append(float(loss.detach()))
    pace = steps * batch / (time.perf_counter() - begun)
    return _finding(f"PyTorch training on {engine.device}, {kind}, batch {batch}", losses, pace)


def _finding(what: str, losses: list[float], pictures_per_s: float) -> Finding:
    return Finding(
        what=what,
        expected="a loss that falls",
        found=f"loss {losses[0]:.4f} to {losses[-1]:.4f}, {pictures_per_s:.1f} pictures a second",
        passed=bool(np.isfinite(losses).all() and losses[-1] < losses[0]),
        figures={"losses": losses, "pictures_per_s": round(pictures_per_s, 2)},
    )


if __name__ == "__main__":
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    main(run)
