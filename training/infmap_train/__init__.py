"""infmap-train: the paper's 24 networks and an edge network, their training and their evaluation.

The names of ``__all__`` are the public API, each loaded when it is asked for first.

For research use, not a medical device.
"""

import logging
import os
from typing import TYPE_CHECKING

from infmap_kit import telemetry
from infmap_kit.lazy import lazily

if TYPE_CHECKING:
    from infmap_train.data.layouts import open_dataset
    from infmap_train.evaluation.evaluate import evaluate
    from infmap_train.options import FitOptions
    from infmap_train.run_folder import load_network
    from infmap_train.training.fit import fit

__all__ = ["FitOptions", "evaluate", "fit", "load_network", "open_dataset"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "FitOptions": "infmap_train.options",
        "evaluate": "infmap_train.evaluation.evaluate",
        "fit": "infmap_train.training.fit",
        "load_network": "infmap_train.run_folder",
        "open_dataset": "infmap_train.data.layouts",
    },
)

telemetry.switch_off()
# segmentation-models 1.0.1 speaks Keras 2, which TensorFlow offers as tf-keras when, and only
# when, these stand before the first import of TensorFlow.
os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ["SM_FRAMEWORK"] = "tf.keras"
# Keras 3, which reads the files that today's Keras writes, lies beside it and computes with TensorFlow here,
# whatever the user's own settings say.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# Where it cannot write its cache it takes a temporary folder, and says so in several lines.
logging.getLogger("matplotlib").setLevel(logging.ERROR)
