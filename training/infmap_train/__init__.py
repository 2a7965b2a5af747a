"""infmap-train: the paper's 24 networks and an edge network, their training and their evaluation.

For research use, not a medical device.
"""

import logging
import os

from infmap_kit import telemetry

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
