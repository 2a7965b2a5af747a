"""NVIDIA's TensorRT: building and running plans, GPUs, and Triton's images."""
