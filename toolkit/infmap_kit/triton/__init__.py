"""Triton: the model repository, the server that runs it, and the client that asks it."""
