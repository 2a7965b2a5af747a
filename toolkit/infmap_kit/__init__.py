"""infmap-kit: COVID-19 infection maps from chest X-rays, served by Triton.

For research use, not a medical device.
"""

import os

from infmap_kit import telemetry

__version__ = "0.1.0"

# Here, since nothing of ours is imported before this.
telemetry.switch_off()
# OpenCV reads this once, when it is loaded. A header that our own check and OpenCV's decoder understand in two
# ways cannot claim more than the largest radiograph (infmap_kit.imaging.radiograph.MAX_PIXELS).
os.environ["OPENCV_IO_MAX_IMAGE_PIXELS"] = "40000000"
