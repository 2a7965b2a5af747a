"""Probabilities and how every result writes them: Python's and the viewer's."""

from __future__ import annotations

import numpy as np

EXAMPLES = [
    (0.93, 0.5, "0.93"),
    (float(np.float32(0.995)), 0.5, "> 0.99"),
    (0.9999, 0.5, "> 0.99"),
    (1.0, 0.5, "1.00"),
    (0.4996, 0.5, "< 0.50"),
    (0.5, 0.5, "0.50"),
    (0.504, 0.5, "0.50"),
    (0.004, 0.5, "< 0.01"),
    (0.0, 0.5, "0.00"),
    (0.2996, 0.3, "< 0.30"),
    (0.1234, 0.125, "0.123"),
    (0.1249, 0.125, "< 0.125"),
    # As a model has them: 0.3 in single precision reaches 0.3.
    (float(np.float32(0.7)), 0.7, "0.70"),
    (float(np.float32(0.29)), 0.5, "0.29"),
]
"""Probability, threshold and text."""
