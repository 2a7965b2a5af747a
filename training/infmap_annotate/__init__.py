"""Collaborative human-machine annotation in the browser (Degerli et al., II-B).

Nothing here needs TensorFlow.
"""

from infmap_kit import telemetry

telemetry.switch_off()
