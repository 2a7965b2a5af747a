"""One training in a process of its own: ``infmap-train fit`` in all that it leaves, and nothing outlives it.

A process that crashes takes no worker along, one that is not needed can be ended at any moment, and TensorFlow
holds no GPU's memory and no setting over from one training to the next. The order comes on stdin, which whoever
gave it holds open: when it closes, the process ends.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import signal
import sys
import threading
from pathlib import Path

from infmap_kit.command import exit_code_of
from infmap_kit.errors import HostMismatch, MissingDependency
from infmap_train.networks.quiet import import_tensorflow
from infmap_train.reproduction.order import TrainingOrder, locked

_HANDED_OVER_S = 60.0
"""How long the process of a worker that was lost may take to end, elsewhere."""


def main() -> int:
    """Train what stdin orders; the exit code is that of ``infmap-train fit``."""
    order = TrainingOrder.of(json.loads(sys.stdin.buffer.readline()))
    threading.Thread(target=_end_with_the_other_end, daemon=True).start()
    logging.basicConfig(
        stream=sys.stdout, format="%(asctime)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S"
    )
    logging.getLogger("infmap_train").setLevel(logging.INFO)
    return exit_code_of(lambda: _train(order), program="infmap-train")


def _end_with_the_other_end() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def _train(order: TrainingOrder) -> None:
    run = Path(order.run)
    busy = f"another process trains in {run}: wait until it has ended"
    with locked(run.with_name(f".{run.name}.lock"), patience_s=_HANDED_OVER_S, busy=busy):
        try:
            import_tensorflow()
            _require_gpu(order)
            from infmap_train.data.layouts import open_dataset
            from infmap_train.training.fit import fit
            from infmap_train.training.loop import refuse_early

            refuse_early(order.network, order.options)
            pictures = open_dataset(
                Path(order.data),
                folds=order.options.folds,
                anatomy=order.options.anatomy,
                options=order.options,
            )
            fit(order.network, pictures, run, order.options, data_licence=order.data_licence)
        except MissingDependency as error:
            # No training can do without on this machine.
            raise HostMismatch(f"{platform.node()}: {error}") from error


def _require_gpu(order: TrainingOrder) -> None:
    import tensorflow as tf

    if order.gpu and not tf.config.list_physical_devices("GPU"):
        raise HostMismatch(
            f"{platform.node()}: the plan is for GPUs, and TensorFlow sees none here: pip install "
            "'tensorflow[and-cuda]', or say gpu = false in the plan, which takes many times as long"
        )


if __name__ == "__main__":
    sys.exit(main())
