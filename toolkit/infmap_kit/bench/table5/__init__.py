"""The paper's Table V: parameters and inference time of its 24 networks."""
