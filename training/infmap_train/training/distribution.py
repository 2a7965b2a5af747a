"""One GPU, all GPUs of a machine, or several machines: detected, never an option.

TensorFlow's own variable ``TF_CONFIG`` names several machines to each other; they see the run folder on
a shared disk. Every machine does the same, and the files of the first one remain.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import tensorflow as tf

from infmap_kit.errors import TrainingError


def find_strategy() -> Any:
    """Choose how the work is spread; on several machines all of them must have been started.

    Returns
    -------
    tf.distribute.Strategy
        Over several machines when ``TF_CONFIG`` is set, else over all GPUs, else the plain one.
    """
    if _workers() > 1:
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_physical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def own_folder(run: Path) -> Path:
    """The folder that this machine writes to: the run folder, or one beside it that is removed."""
    number = _task().get("index", 0)
    return run if number == 0 else run.with_name(f".{run.name}.worker-{number}")


def on_one_device(strategy: Any, model: Any, build: Any) -> Any:
    """Give a model that answers without the other GPUs and machines.

    Parameters
    ----------
    strategy
        Strategy that ``model`` was built under.
    model
        The network in training.
    build
        Called without arguments, builds the same network; only where a copy is needed.
    """
    # A last batch smaller than the number of GPUs would leave one with nothing, which fails.
    if strategy.num_replicas_in_sync == 1:
        return model
    copy = build()
    copy.set_weights(model.get_weights())
    return copy


def _workers() -> int:
    return len(_config().get("cluster", {}).get("worker", []))


def _task() -> dict[str, Any]:
    return dict(_config().get("task", {})) if _workers() > 1 else {}


def _config() -> dict[str, Any]:
    try:
        return dict(json.loads(os.environ.get("TF_CONFIG", "{}")))
    except ValueError as error:
        raise TrainingError(
            f"the environment variable TF_CONFIG is not JSON ({error}): mend or unset it"
        ) from error
