"""The equivalence gate: whether an engine decides as the network that it was made from."""
