"""Keep TensorFlow's greetings off stderr, where our own lines and progress bars stand."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from infmap_kit.errors import MissingDependency


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Send everything that is written to stderr, by C++ too, nowhere.

    Errors are raised as ever, and printed outside.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


def import_tensorflow() -> None:
    """Import TensorFlow and segmentation-models once, in silence.

    Raises
    ------
    MissingDependency
        Naming the extra that brings them.
    """
    # A box that serves needs its GPU's memory, all of which TensorFlow would take at once.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    try:
        with silenced():
            import tensorflow as tf

            import infmap_train.networks.segmentation  # noqa: F401

            # The first look for a GPU writes as well.
            alone = "TF_CONFIG" not in os.environ
            if not tf.config.list_physical_devices("GPU") and alone:
                # Sums of three and more gradients are taken in the order in which they come: one
                # operation at a time, over all cores, is what makes a run on a CPU repeatable. (Where
                # several machines wait for each other, one thread would wait for ever.)
                tf.config.threading.set_inter_op_parallelism_threads(1)
    except ImportError as error:
        raise MissingDependency(
            f"training and conversion need TensorFlow ({error}): pip install 'infmap-kit[train]'"
        ) from error
