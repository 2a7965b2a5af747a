"""The description of a model: networks, run folders, the tensors that it serves."""
