"""Drawn chest radiographs with known lungs and a known infection."""
