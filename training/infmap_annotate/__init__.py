"""Collaborative human-machine annotation in the browser (Degerli et al., II-B).

Nothing here needs TensorFlow.
"""
