"""An untrained network as ONNX: ``python -m infmap_train.networks.untrained NETWORK TARGET``.

NETWORK is a :class:`~infmap_kit.model.spec.NetworkSpec` as JSON. For measuring how long a network takes, which
its weights do not change; one JSON line on stdout says how many parameters it has.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from infmap_kit.errors import InfmapError
from infmap_kit.imaging.network_input import network_input
from infmap_kit.imaging.synthetic.drawing import synthetic_radiograph
from infmap_kit.model.spec import Encoder, NetworkSpec
from infmap_train.networks.quiet import import_tensorflow, silenced


def settle_batch_norms(network: Any, encoder: Encoder) -> None:
    """Give every batch norm the statistics of its inputs.

    With the initial ones, activations of an untrained ResNet-50 grow to thousands, and no two libraries
    agree on the output.
    """
    import tensorflow as tf

    from infmap_train.networks.normalisation import normalise

    pictures = np.stack(
        [
            network_input(synthetic_radiograph(seed, height=256, width=256).radiograph.pixels)
            for seed in range(4)
        ]
    )
    for layer in network.layers:
        if isinstance(layer, tf.keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(normalise(tf.constant(pictures), encoder), training=True)


def main() -> None:
    """Build, convert and count."""
    spec, target = NetworkSpec(**json.loads(sys.argv[1])), Path(sys.argv[2])
    import_tensorflow()
    with silenced():
        import tensorflow as tf

        from infmap_train.networks.onnx_from_keras import onnx_from_keras
        from infmap_train.networks.segmentation import build_network, count_parameters

        # The same weights each time, so that a graph's hash says whether it is the same network.
        tf.keras.utils.set_random_seed(0)
        network = build_network(spec)
        settle_batch_norms(network, spec.encoder)
        onnx_from_keras(network, spec.encoder, target)
        trainable, non_trainable = count_parameters(network)
    sys.stdout.write(json.dumps({"trainable": trainable, "non_trainable": non_trainable}) + "\n")


if __name__ == "__main__":
    try:
        main()
    except InfmapError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
