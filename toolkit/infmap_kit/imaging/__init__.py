"""Radiographs: reading them, bringing them to the network's size, and painting on them."""
