"""Keras' ``predict`` timed: ``python -m infmap_train.networks.predict_baseline NETWORK``.

NETWORK is a :class:`~infmap_kit.model.spec.NetworkSpec` as JSON. The weights are random, which changes
nothing of how long it takes. See :class:`infmap_kit.bench.baselines.baseline.Baseline`.
"""

from __future__ import annotations

import json
import sys

import numpy as np

from infmap_kit.bench.baselines.baseline import answer_blocks, replies
from infmap_kit.model.spec import IMAGE_SIZE, NetworkSpec
from infmap_train.networks.quiet import import_tensorflow, silenced

if __name__ == "__main__":
    answers = replies()
    import_tensorflow()
    from infmap_train.networks.segmentation import build_network

    with silenced():
        network = build_network(NetworkSpec(**json.loads(sys.argv[1])))
    image = np.random.default_rng(0).random((1, IMAGE_SIZE, IMAGE_SIZE, 3), np.float32)
    answer_blocks(lambda: network.predict(image, verbose=0), answers)
