"""A network's graph in fewer bits: FP16, and INT8 for CPUs and for GPUs."""
