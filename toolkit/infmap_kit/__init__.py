"""infmap-kit: COVID-19 infection maps from chest X-rays, served by Triton.

For research use, not a medical device.
"""

__version__ = "0.1.0"
