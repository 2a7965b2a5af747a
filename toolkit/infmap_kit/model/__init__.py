"""What a model is: networks, run folders, the tensors that it serves."""
