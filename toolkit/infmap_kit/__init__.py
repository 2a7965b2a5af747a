"""infmap-kit: COVID-19 infection maps from chest X-rays, served by Triton.

For research use, not a medical device.
"""

from infmap_kit import telemetry

__version__ = "0.1.0"

# Here, since nothing of ours is imported before this.
telemetry.switch_off()
