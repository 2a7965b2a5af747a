"""Radiographs with masks: reading, composing, splitting and augmenting."""
