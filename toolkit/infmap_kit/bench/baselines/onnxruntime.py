"""``python -m infmap_kit.bench.baselines.onnxruntime MODEL.onnx``: a graph in FP32 on ONNX Runtime, timed.

See :class:`~infmap_kit.bench.baselines.baseline.Baseline`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx

from infmap_kit.bench.baselines.baseline import answer_blocks, replies
from infmap_kit.gate.engines import OnnxRuntimeEngine
from infmap_kit.parts.contract import image_size_of

if __name__ == "__main__":
    answers = replies()
    graph = Path(sys.argv[1]).read_bytes()
    engine, size = OnnxRuntimeEngine(graph), image_size_of(onnx.load_from_string(graph))
    image = np.random.default_rng(0).integers(256, size=(1, size, size), dtype=np.uint8)
    answer_blocks(lambda: engine.infer(image), answers)
