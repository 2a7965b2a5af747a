"""Latency, measured so that it can be believed, beside the paper's Table V."""
